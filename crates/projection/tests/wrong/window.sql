CREATE MATERIALIZED VIEW "window" WITH (key = 'id') AS
SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY placed_at) AS nth FROM orders;
