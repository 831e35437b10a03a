CREATE MATERIALIZED VIEW order_and_limit WITH (key = 'id') AS
SELECT id, total FROM orders
ORDER BY total DESC LIMIT 10;
