-- How long the item holds those who see it, in seconds. Smoothed by ten impressions of ten seconds.
SELECT item_id, event_timestamp, created_timestamp,
       (sum(outcome) OVER last_14d + 100.0) / (count(*) OVER last_14d + 10) AS item_dwell_14d
FROM dwell
WINDOW last_14d AS (PARTITION BY item_id ORDER BY event_timestamp
                    RANGE BETWEEN INTERVAL 14 DAY PRECEDING AND CURRENT ROW)
