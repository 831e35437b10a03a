CREATE VIEW not_materialized WITH (key = 'id') AS SELECT id FROM orders;
