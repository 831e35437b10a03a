-- How far has each order come, as the shop's own events tell it, and when was it paid?
CREATE MATERIALIZED VIEW order_progress WITH (key = 'order_id') AS
SELECT
    aggregate_id AS order_id,
    count(*) AS steps,
    last_value(event_type ORDER BY position) AS last_step,
    last_value(payload ->> 'status' ORDER BY position) FILTER (WHERE event_type <> 'OrderPlaced') AS status,
    min(occurred_at) AS placed_at,
    max(occurred_at) FILTER (WHERE event_type = 'OrderPaid') AS paid_at
FROM events
WHERE aggregate_type = 'Order'
GROUP BY aggregate_id;
