CREATE MATERIALIZED VIEW query_in_select WITH (key = 'id') AS
SELECT id, EXISTS (SELECT 1 FROM customers WHERE customers.id = customer_id) AS is_known
FROM orders;
