SELECT
  event_id,
  event_timestamp,
  item_id,
  segment_id,
  position,
  policy,
  propensity,
  dt
FROM (
  SELECT
    event_id,
    event_timestamp,
    item_id,
    segment_id,
    position,
    policy,
    propensity,
    dt,
    ROW_NUMBER() OVER (PARTITION BY dt, event_id ORDER BY payload_digest) AS copy_number
  FROM impression_raw
) AS copies
WHERE
  copy_number = 1
