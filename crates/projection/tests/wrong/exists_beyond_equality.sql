CREATE MATERIALIZED VIEW exists_beyond_equality WITH (key = 'id') AS
SELECT id
FROM customers
WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id AND status > customers.name);
