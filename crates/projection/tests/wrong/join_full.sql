CREATE MATERIALIZED VIEW join_full WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
FULL JOIN customers ON customers.id = orders.customer_id;
