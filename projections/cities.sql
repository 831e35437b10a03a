-- Where do customers live, and of which tiers are they there?
CREATE MATERIALIZED VIEW cities WITH (key = 'city, tier') AS
SELECT DISTINCT city, tier
FROM customers;
