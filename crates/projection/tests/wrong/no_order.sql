-- What did each customer order?
CREATE MATERIALIZED VIEW no_order WITH (key = 'customer_id') AS
SELECT customer_id, array_agg(id) AS orders
FROM orders
GROUP BY customer_id;
