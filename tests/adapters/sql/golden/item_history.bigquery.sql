SELECT
  item_id,
  event_timestamp,
  created_timestamp,
  COUNT(*) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(event_timestamp) ASC
    RANGE BETWEEN 604800000 PRECEDING AND CURRENT ROW
  ) AS item_impressions_7d,
  (
    SUM(outcome) OVER (
      PARTITION BY item_id
      ORDER BY UNIX_MILLIS(event_timestamp) ASC
      RANGE BETWEEN 604800000 PRECEDING AND CURRENT ROW
    ) + 1.0
  ) / NULLIF(
    COUNT(*) OVER (
      PARTITION BY item_id
      ORDER BY UNIX_MILLIS(event_timestamp) ASC
      RANGE BETWEEN 604800000 PRECEDING AND CURRENT ROW
    ) + 250,
    0
  ) AS item_ctr_7d
FROM ctr
