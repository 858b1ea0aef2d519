SELECT
  isthmus_shown.event_id,
  isthmus_shown.event_timestamp,
  isthmus_shown.item_id,
  isthmus_shown.segment_id,
  isthmus_shown.position,
  isthmus_shown.policy,
  isthmus_shown.propensity,
  CASE WHEN isthmus_hit.event_id IS NULL THEN 0 ELSE 1 END AS outcome,
  isthmus_shown.event_timestamp + INTERVAL '1800' SECOND AS created_timestamp,
  isthmus_shown.dt
FROM events_impression AS isthmus_shown
LEFT JOIN (
  SELECT
    event_id,
    dt
  FROM (
    SELECT
      isthmus_exposure.event_id,
      isthmus_exposure.dt,
      ROW_NUMBER() OVER (
        PARTITION BY isthmus_outcome.dt, isthmus_outcome.event_id
        ORDER BY isthmus_exposure.event_timestamp DESC
      ) AS isthmus_place
    FROM events_impression AS isthmus_exposure
    JOIN events_click AS isthmus_outcome
      ON isthmus_outcome.impression_id = isthmus_exposure.event_id
      AND isthmus_outcome.event_timestamp >= isthmus_exposure.event_timestamp
      AND isthmus_outcome.event_timestamp <= isthmus_exposure.event_timestamp + INTERVAL '1800' SECOND
  ) AS isthmus_nearest
  WHERE
    isthmus_place = 1
  GROUP BY
    event_id,
    dt
) AS isthmus_hit
  ON isthmus_hit.event_id = isthmus_shown.event_id
  AND isthmus_hit.dt = isthmus_shown.dt
