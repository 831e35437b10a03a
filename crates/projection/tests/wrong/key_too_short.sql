CREATE MATERIALIZED VIEW key_too_short WITH (key = 'customer_id') AS
SELECT customer_id, status, count(*) AS orders
FROM orders
GROUP BY customer_id, status;
