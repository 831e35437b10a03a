CREATE MATERIALIZED VIEW not_deterministic WITH (key = 'id') AS
SELECT id, total FROM orders
WHERE placed_at > now() - INTERVAL '7 days';
