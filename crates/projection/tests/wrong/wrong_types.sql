CREATE MATERIALIZED VIEW wrong_types WITH (key = 'customer_id') AS
SELECT customer_id, sum(status) AS total FROM orders GROUP BY customer_id;
