CREATE MATERIALIZED VIEW not_of_in WITH (key = 'id') AS
SELECT id
FROM customers
WHERE NOT (name = 'x' OR id IN (SELECT customer_id FROM orders));
