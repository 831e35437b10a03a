CREATE MATERIALIZED VIEW join_comma WITH (key = 'id') AS
SELECT orders.id, customers.name
FROM orders, customers
WHERE orders.total > 5;
