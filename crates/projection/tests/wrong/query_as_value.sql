CREATE MATERIALIZED VIEW query_as_value WITH (key = 'id') AS
SELECT id
FROM orders
WHERE total > (SELECT avg(total) FROM orders);
