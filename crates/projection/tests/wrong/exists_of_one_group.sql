CREATE MATERIALIZED VIEW exists_of_one_group WITH (key = 'id') AS
SELECT id
FROM customers
WHERE EXISTS (SELECT count(*) FROM orders WHERE customer_id = customers.id);
