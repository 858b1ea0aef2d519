SELECT event_id, event_timestamp AT TIME ZONE 'UTC' AS event_timestamp, impression_id, visitor_id, item_id, amount
FROM 'data/purchases.csv'
