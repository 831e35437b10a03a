CREATE MATERIALIZED VIEW join_cross WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders CROSS JOIN customers;
