SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, user_id, item_id
FROM 'data/viewings.csv'
