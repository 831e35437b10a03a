CREATE MATERIALIZED VIEW key_of_union WITH (key = 'id') AS
SELECT id FROM orders UNION ALL SELECT id FROM customers;
