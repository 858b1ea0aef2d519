-- One row per event. A time without a zone would be refused: say which it is.
SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, visitor_id, session_id, item_id, position, item_kind, country
FROM 'data/impressions.csv'
