CREATE MATERIALIZED VIEW join_key_too_short WITH (key = 'id') AS
SELECT customers.id, orders.total
FROM customers
JOIN orders ON customers.id = orders.customer_id;
