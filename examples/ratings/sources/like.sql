SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, viewing_id, user_id, item_id
FROM 'data/likes.csv'
