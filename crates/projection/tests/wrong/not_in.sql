CREATE MATERIALIZED VIEW not_in WITH (key = 'id') AS
SELECT id
FROM customers
WHERE id NOT IN (SELECT customer_id FROM orders);
