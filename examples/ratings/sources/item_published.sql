SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, item_id, title
FROM 'data/published.csv'
