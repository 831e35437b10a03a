CREATE MATERIALIZED VIEW not_grouped WITH (key = 'customer_id') AS
SELECT customer_id, status, count(*) AS orders FROM orders GROUP BY customer_id;
