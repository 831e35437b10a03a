CREATE MATERIALIZED VIEW unknown_column WITH (key = 'customer_id') AS
SELECT customer_id,
       sum(totl) AS lifetime_value
FROM orders
GROUP BY customer_id;
