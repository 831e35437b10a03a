CREATE MATERIALIZED VIEW "intersect" WITH (key = 'id') AS
SELECT id FROM orders INTERSECT SELECT id FROM customers;
