SELECT
  shown.event_id,
  shown.event_timestamp,
  shown.item_id,
  shown.segment_id,
  shown.position,
  shown.policy,
  shown.propensity,
  CASE WHEN hit.event_id IS NULL THEN 0 ELSE 1 END AS outcome,
  TIMESTAMP_ADD(shown.event_timestamp, INTERVAL 1800 SECOND) AS created_timestamp,
  shown.dt
FROM events_impression AS shown
LEFT JOIN (
  SELECT
    event_id,
    dt
  FROM (
    SELECT
      exposure.event_id,
      exposure.dt,
      ROW_NUMBER() OVER (PARTITION BY outcome.dt, outcome.event_id ORDER BY exposure.event_timestamp DESC) AS isthmus_place
    FROM events_impression AS exposure
    JOIN events_click AS outcome
      ON outcome.impression_id = exposure.event_id
      AND outcome.event_timestamp >= exposure.event_timestamp
      AND outcome.event_timestamp <= TIMESTAMP_ADD(exposure.event_timestamp, INTERVAL 1800 SECOND)
  ) AS isthmus_nearest
  WHERE
    isthmus_place = 1
  GROUP BY
    event_id,
    dt
) AS hit
  ON hit.event_id = shown.event_id AND hit.dt = shown.dt
