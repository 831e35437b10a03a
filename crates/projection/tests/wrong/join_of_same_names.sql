CREATE MATERIALIZED VIEW join_of_same_names WITH (key = 'id') AS
SELECT *
FROM customers
JOIN orders ON customers.id = orders.customer_id;
