CREATE MATERIALIZED VIEW in_of_one_group WITH (key = 'id') AS
SELECT id
FROM customers
WHERE id IN (SELECT count(*) FROM orders WHERE customer_id = customers.id);
