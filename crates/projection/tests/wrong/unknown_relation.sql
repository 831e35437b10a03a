CREATE MATERIALIZED VIEW unknown_relation WITH (key = 'id') AS
SELECT id
FROM odrers;
