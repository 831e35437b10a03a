CREATE MATERIALIZED VIEW join_without_equality WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
JOIN customers ON customers.id < orders.customer_id;
