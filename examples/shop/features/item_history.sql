-- How often the item was clicked. Smoothed by two clicks in ten impressions.
SELECT item_id, event_timestamp, created_timestamp,
       count(*) OVER last_14d                                           AS item_impressions_14d,
       (sum(outcome) OVER last_14d + 2.0) / (count(*) OVER last_14d + 10) AS item_ctr_14d
FROM ctr
WINDOW last_14d AS (PARTITION BY item_id ORDER BY event_timestamp
                    RANGE BETWEEN INTERVAL 14 DAY PRECEDING AND CURRENT ROW)
