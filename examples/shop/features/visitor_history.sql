-- How often the visitor clicks, whatever is shown.
SELECT visitor_id, event_timestamp, created_timestamp,
       (sum(outcome) OVER last_14d + 2.0) / (count(*) OVER last_14d + 10) AS visitor_ctr_14d
FROM ctr
WINDOW last_14d AS (PARTITION BY visitor_id ORDER BY event_timestamp
                    RANGE BETWEEN INTERVAL 14 DAY PRECEDING AND CURRENT ROW)
