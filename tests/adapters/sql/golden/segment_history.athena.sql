SELECT
  segment_id,
  event_timestamp,
  created_timestamp,
  CAST((
    SUM(outcome) OVER (
      PARTITION BY segment_id
      ORDER BY event_timestamp
      RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    ) + 1.0E0
  ) AS DOUBLE) / NULLIF(
    COUNT(*) OVER (
      PARTITION BY segment_id
      ORDER BY event_timestamp
      RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    ) + 250,
    0
  ) AS segment_ctr_7d
FROM ctr
