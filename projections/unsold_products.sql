-- Which products were never ordered, and what is their stock worth?
CREATE MATERIALIZED VIEW unsold_products WITH (key = 'sku') AS
SELECT p.sku, p.name, p.stock, p.price * p.stock AS worth
FROM products AS p
WHERE NOT EXISTS (SELECT 1 FROM order_lines AS l WHERE l.sku = p.sku);
