-- What is in each order, line by line?
CREATE MATERIALIZED VIEW order_contents WITH (key = 'order_id') AS
SELECT
    order_id,
    string_agg(sku, ', ' ORDER BY line_no) AS products,
    array_agg(quantity ORDER BY line_no) AS quantities,
    first_value(sku ORDER BY unit_price DESC, line_no) AS dearest,
    sum(quantity) FILTER (WHERE unit_price >= 50) AS dear_units,
    bool_or(quantity > 2) AS has_many_of_one
FROM order_lines
GROUP BY order_id;
