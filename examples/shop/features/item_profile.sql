SELECT item_id, TIMESTAMP '2026-02-01 00:00:00' AS event_timestamp, category AS item_category, price AS item_price
FROM items
