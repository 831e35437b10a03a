CREATE MATERIALIZED VIEW "join" WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
JOIN customers ON customers.id = orders.customer_id;
