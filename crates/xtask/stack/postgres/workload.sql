-- The shop's life: one step a second, until it is stopped. It may be started again on what an earlier run has left.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null

INSERT INTO products (sku, name, price, stock, attributes, tags, weight_kg) VALUES
    ('LAM-100', 'lamp', 39.90, 40, '{"colour": "moss"}', '{home,l}', 1.9),
    ('MUG-105', 'mug', 12.60, 120, '{"colour": "sand"}', '{kitchen,m}', 0.4),
    ('DES-104', 'desk', 420.00, 15, '{"colour": "oak"}', '{home,d}', 31.5),
    ('CHA-103', 'chair', 149.00, 30, '{"colour": "oak"}', '{home,c}', 7.2)
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION shop_step() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    dice double precision := random();
    new_order bigint;
BEGIN
    IF dice < 0.15 OR NOT EXISTS (SELECT FROM customers) THEN
        INSERT INTO customers (name, email, city)
        VALUES ((ARRAY['Ada', 'Grace', 'Radia', 'John', 'Edsger'])[1 + floor(random() * 5)::int],
                gen_random_uuid() || '@example.com',
                (ARRAY['Lisbon', 'Recife', 'Oslo', 'Nairobi'])[1 + floor(random() * 4)::int]);
    ELSIF dice < 0.50 THEN
        INSERT INTO orders (customer_id) SELECT id FROM customers ORDER BY random() LIMIT 1 RETURNING id INTO new_order;
        INSERT INTO order_lines (order_id, line_no, sku, quantity, unit_price)
            SELECT new_order, row_number() OVER (), sku, 1 + floor(random() * 3)::int, price
            FROM (SELECT * FROM products ORDER BY random() LIMIT 1 + floor(random() * 3)::int) AS chosen;
        UPDATE products SET stock = GREATEST(stock - quantity, 0) FROM order_lines
            WHERE order_id = new_order AND order_lines.sku = products.sku;
        UPDATE orders SET total = (SELECT sum(quantity * unit_price) FROM order_lines WHERE order_id = new_order)
            WHERE id = new_order;
    ELSIF dice < 0.85 THEN
        UPDATE orders SET
            status = CASE status WHEN 'pending' THEN 'paid' WHEN 'paid' THEN 'packed' WHEN 'packed' THEN 'shipped' ELSE 'delivered' END,
            shipped_on = CASE status WHEN 'packed' THEN current_date ELSE shipped_on END
        WHERE id = (SELECT id FROM orders WHERE status NOT IN ('delivered', 'cancelled') ORDER BY random() LIMIT 1);
    ELSIF dice < 0.90 THEN
        UPDATE orders SET status = 'cancelled'
        WHERE id = (SELECT id FROM orders WHERE status IN ('pending', 'paid') ORDER BY random() LIMIT 1);
    ELSIF dice < 0.96 THEN
        UPDATE products SET stock = stock + 20 WHERE sku = (SELECT sku FROM products ORDER BY stock LIMIT 1);
    ELSIF dice < 0.99 THEN
        UPDATE products SET price = round(price * (0.95 + random() * 0.1)::numeric, 2)
        WHERE sku = (SELECT sku FROM products ORDER BY random() LIMIT 1);
    ELSE
        DELETE FROM customers WHERE id = (
            SELECT id FROM customers
            WHERE NOT EXISTS (SELECT FROM orders WHERE customer_id = customers.id) ORDER BY random() LIMIT 1);
    END IF;
END $$;

SELECT shop_step() \watch 1
