-- What are the different totals of each customer worth?
CREATE MATERIALIZED VIEW sum_of_distinct WITH (key = 'customer_id') AS
SELECT customer_id, sum(DISTINCT total) AS worth
FROM orders
GROUP BY customer_id;
