-- On which days did orders or new customers come in, and how many?
CREATE MATERIALIZED VIEW busy_days WITH (key = 'day') AS
SELECT day, count(*) AS arrivals, count(order_id) AS orders, count(customer_id) AS customers
FROM (
    SELECT CAST(placed_at AS DATE) AS day, id AS order_id, CAST(NULL AS BIGINT) AS customer_id FROM orders
    UNION ALL
    SELECT CAST(created_at AS DATE) AS day, CAST(NULL AS BIGINT) AS order_id, id AS customer_id FROM customers
) AS arrivals
GROUP BY day;
