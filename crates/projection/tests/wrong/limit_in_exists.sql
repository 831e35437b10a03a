CREATE MATERIALIZED VIEW limit_in_exists WITH (key = 'id') AS
SELECT id
FROM customers
WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id LIMIT 1);
