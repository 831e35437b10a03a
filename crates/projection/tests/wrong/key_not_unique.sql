CREATE MATERIALIZED VIEW key_not_unique WITH (key = 'customer_id') AS
SELECT customer_id, total FROM orders;
