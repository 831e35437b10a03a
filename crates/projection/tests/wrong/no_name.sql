CREATE MATERIALIZED VIEW no_name WITH (key = 'customer_id') AS
SELECT customer_id, count(*) FROM orders GROUP BY customer_id;
