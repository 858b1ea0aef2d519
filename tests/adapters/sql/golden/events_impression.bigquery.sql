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
    ROW_NUMBER() OVER (PARTITION BY dt, event_id ORDER BY payload_digest IS NULL ASC, payload_digest ASC) AS isthmus_copy
  FROM impression_raw
) AS isthmus_copies
WHERE
  isthmus_copy = 1
