CREATE MATERIALIZED VIEW two_statements WITH (key = 'id') AS SELECT id FROM orders;
SELECT 1;
