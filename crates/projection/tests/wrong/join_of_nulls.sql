CREATE MATERIALIZED VIEW join_of_nulls WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
JOIN customers ON customers.id IS NOT DISTINCT FROM orders.customer_id;
