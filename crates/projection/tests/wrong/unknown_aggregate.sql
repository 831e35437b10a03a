CREATE MATERIALIZED VIEW unknown_aggregate WITH (key = 'customer_id') AS
SELECT customer_id, median(total) AS typical FROM orders GROUP BY customer_id;
