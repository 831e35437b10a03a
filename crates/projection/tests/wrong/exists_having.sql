CREATE MATERIALIZED VIEW exists_having WITH (key = 'id') AS
SELECT id
FROM customers
WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id HAVING count(*) = 0);
