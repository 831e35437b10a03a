CREATE MATERIALIZED VIEW wrong_option WITH (keys = 'id') AS SELECT id FROM orders;
