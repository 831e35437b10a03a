CREATE MATERIALIZED VIEW ambiguous WITH (key = 'id') AS
SELECT id, total AS amount, status AS amount FROM orders;
