CREATE MATERIALIZED VIEW join_beyond_equality WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders
LEFT JOIN customers ON customers.id = orders.customer_id AND customers.name > orders.status;
