SELECT
  segment_id,
  event_timestamp,
  created_timestamp,
  (
    SUM(outcome) OVER (
      PARTITION BY segment_id
      ORDER BY UNIX_MILLIS(event_timestamp) ASC
      RANGE BETWEEN 604800000 PRECEDING AND CURRENT ROW
    ) + 1.0
  ) / NULLIF(
    COUNT(*) OVER (
      PARTITION BY segment_id
      ORDER BY UNIX_MILLIS(event_timestamp) ASC
      RANGE BETWEEN 604800000 PRECEDING AND CURRENT ROW
    ) + 250,
    0
  ) AS segment_ctr_7d
FROM ctr
