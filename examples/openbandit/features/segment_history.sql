-- features/segment_history.sql
SELECT segment_id, event_timestamp, created_timestamp,
       (sum(outcome) OVER last_7d + 1.0) / (count(*) OVER last_7d + 250) AS segment_ctr_7d
FROM ctr
WINDOW last_7d AS (PARTITION BY segment_id ORDER BY event_timestamp
                   RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)
