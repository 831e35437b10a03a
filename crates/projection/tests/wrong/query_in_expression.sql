CREATE MATERIALIZED VIEW query_in_expression WITH (key = 'id') AS
SELECT id
FROM orders
WHERE CASE WHEN EXISTS (SELECT 1 FROM customers) THEN total ELSE 0 END > 5;
