CREATE MATERIALIZED VIEW key_not_given WITH (key = 'costumer_id') AS
SELECT customer_id, count(*) AS orders FROM orders GROUP BY customer_id;
