-- What has each customer ordered so far, and what is it worth?
CREATE MATERIALIZED VIEW customer_orders WITH (key = 'customer_id') AS
SELECT customer_id, count(*) AS orders, sum(total) AS lifetime_value, max(placed_at) AS last_order_at
FROM orders
WHERE status <> 'cancelled'
GROUP BY customer_id;
