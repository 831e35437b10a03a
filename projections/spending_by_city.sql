-- What do the customers of each city spend, and how many of them ever ordered?
CREATE MATERIALIZED VIEW spending_by_city WITH (key = 'city') AS
SELECT
    c.city,
    count(DISTINCT c.id) AS customers,
    count(DISTINCT o.customer_id) AS buyers,
    count(o.id) AS orders,
    coalesce(sum(o.total), 0) AS spent
FROM customers AS c
LEFT JOIN orders AS o ON o.customer_id = c.id AND o.status <> 'cancelled'
GROUP BY c.city;
