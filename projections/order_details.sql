-- What does each order hold, line by line, for whom, and under which names and prices?
CREATE MATERIALIZED VIEW order_details WITH (key = 'order_id, line_no') AS
SELECT
    l.order_id,
    l.line_no,
    o.status,
    c.name AS customer,
    l.sku,
    p.name AS product,
    l.quantity,
    l.unit_price,
    p.price AS list_price,
    l.quantity * l.unit_price AS amount
FROM order_lines AS l
JOIN orders AS o ON o.id = l.order_id
JOIN customers AS c ON c.id = o.customer_id
LEFT JOIN products AS p ON p.sku = l.sku;
