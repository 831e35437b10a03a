CREATE MATERIALIZED VIEW cast_of_nothing WITH (key = 'id') AS
SELECT id,
       total + status AS both
FROM orders;
