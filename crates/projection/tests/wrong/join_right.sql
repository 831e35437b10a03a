CREATE MATERIALIZED VIEW join_right WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
RIGHT JOIN customers ON customers.id = orders.customer_id;
