-- How many customers spend how much, and how much do they spend together?
CREATE MATERIALIZED VIEW spending_bands WITH (key = 'band') AS
SELECT band, count(*) AS customers, sum(spent) AS spent, bool_and(orders > 1) AS all_came_back
FROM (
    SELECT
        customer_id,
        sum(total) AS spent,
        count(*) AS orders,
        CASE WHEN sum(total) >= 5000 THEN 'gold' WHEN sum(total) >= 1000 THEN 'silver' ELSE 'bronze' END AS band
    FROM orders
    WHERE status <> 'cancelled'
    GROUP BY customer_id
) AS spending
GROUP BY band
HAVING count(*) > 0;
