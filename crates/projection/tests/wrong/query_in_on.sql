CREATE MATERIALIZED VIEW query_in_on WITH (key = 'id') AS
SELECT orders.id
FROM orders
JOIN customers ON customers.id = orders.customer_id AND EXISTS (SELECT 1 FROM orders);
