SELECT
  item_id,
  event_timestamp,
  created_timestamp,
  COUNT(*) OVER (
    PARTITION BY item_id
    ORDER BY event_timestamp
    RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
  ) AS item_impressions_7d,
  CAST((
    SUM(outcome) OVER (
      PARTITION BY item_id
      ORDER BY event_timestamp
      RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    ) + 1.0E0
  ) AS DOUBLE) / NULLIF(
    COUNT(*) OVER (
      PARTITION BY item_id
      ORDER BY event_timestamp
      RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    ) + 250,
    0
  ) AS item_ctr_7d
FROM ctr
