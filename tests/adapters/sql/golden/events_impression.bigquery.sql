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
    ROW_NUMBER() OVER (
      PARTITION BY dt, event_id
      ORDER BY COALESCE(correction, 0) DESC, COALESCE(stored_timestamp, TIMESTAMP '1970-01-01 00:00:00.000+00') IS NULL ASC, COALESCE(stored_timestamp, TIMESTAMP '1970-01-01 00:00:00.000+00') ASC, payload_digest IS NULL ASC, payload_digest ASC
    ) AS isthmus_copy
  FROM impression_raw
) AS isthmus_copies
WHERE
  isthmus_copy = 1
