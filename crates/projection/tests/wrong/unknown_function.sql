CREATE MATERIALIZED VIEW unknown_function WITH (key = 'id') AS
SELECT id, uper(status) AS status FROM orders;
