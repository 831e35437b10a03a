-- Which products have to be ordered again soon?
CREATE MATERIALIZED VIEW low_stock WITH (key = 'sku') AS
SELECT sku, name, stock, attributes ->> 'colour' AS colour, price * stock AS worth
FROM products
WHERE stock < 20;
