-- What was sold of each product, in how many orders, and at what price at least and at most?
CREATE MATERIALIZED VIEW product_sales WITH (key = 'sku') AS
SELECT
    sku,
    sum(quantity) AS units,
    sum(quantity * unit_price) AS revenue,
    count(DISTINCT order_id) AS orders,
    min(unit_price) AS lowest_price,
    max(unit_price) AS highest_price
FROM order_lines
GROUP BY sku;
