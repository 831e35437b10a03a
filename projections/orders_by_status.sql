-- How many orders are in which state, what are they worth, and how long has the oldest of them been there?
CREATE MATERIALIZED VIEW orders_by_status WITH (key = 'status') AS
SELECT status, count(*) AS orders, sum(total) AS worth, avg(total) AS average, min(placed_at) AS oldest
FROM orders
GROUP BY status;
