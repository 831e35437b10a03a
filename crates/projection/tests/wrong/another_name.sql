CREATE MATERIALIZED VIEW order_totals WITH (key = 'id') AS SELECT id FROM orders;
