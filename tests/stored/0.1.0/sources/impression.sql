-- One row per event. A time without a zone would be refused: say which it is.
SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, item_id, position
FROM 'data/impressions.csv'
