SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, impression_id, seconds
FROM 'data/stays.csv'
