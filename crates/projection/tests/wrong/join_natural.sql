CREATE MATERIALIZED VIEW join_natural WITH (key = 'id') AS
SELECT id, name
FROM orders NATURAL JOIN customers;
