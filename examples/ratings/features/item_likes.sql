-- How often the film was liked. Smoothed by three likes in six viewings.
SELECT item_id, event_timestamp, created_timestamp,
       (sum(outcome) OVER so_far + 3.0) / (count(*) OVER so_far + 6) AS item_like_rate
FROM liked
WINDOW so_far AS (PARTITION BY item_id ORDER BY event_timestamp
                  RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
