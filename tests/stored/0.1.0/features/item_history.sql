-- The entity's key, event_timestamp, created_timestamp (when the row became known) and the features.
SELECT item_id, event_timestamp, created_timestamp,
       count(*) OVER last_7d                                           AS item_impressions_7d,
       (sum(outcome) OVER last_7d + 1.0) / (count(*) OVER last_7d + 10) AS item_ctr_7d
FROM ctr
WINDOW last_7d AS (PARTITION BY item_id ORDER BY event_timestamp
                   RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)
