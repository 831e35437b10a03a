CREATE MATERIALIZED VIEW no_column_type WITH (key = 'id') AS
SELECT id,
       placed_at + INTERVAL '14 days' AS due,
       INTERVAL '14 days' AS grace
FROM orders;
