CREATE MATERIALIZED VIEW query_as_value WITH (key = 'id') AS
SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers);
