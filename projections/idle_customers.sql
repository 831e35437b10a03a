-- Which customers have not ordered this month, which is that of the shop's last order?
CREATE MATERIALIZED VIEW idle_customers WITH (key = 'id') AS
SELECT c.id, c.name, c.city, c.tier
FROM customers AS c
WHERE NOT EXISTS (
    SELECT 1
    FROM orders AS o
    JOIN (SELECT max(date_trunc('month', placed_at)) AS month FROM orders) AS latest
        ON date_trunc('month', o.placed_at) = latest.month
    WHERE o.customer_id = c.id
);
