SELECT
  isthmus_shown.event_id,
  isthmus_shown.event_timestamp,
  isthmus_shown.item_id,
  isthmus_shown.segment_id,
  isthmus_shown.position,
  isthmus_shown.policy,
  isthmus_shown.propensity,
  CASE
    WHEN isthmus_hit.event_id IS NULL
    THEN CAST(0 AS DOUBLE)
    WHEN isthmus_hit.isthmus_sum > CAST(600.0E0 AS DOUBLE)
    THEN CAST(600.0E0 AS DOUBLE)
    ELSE isthmus_hit.isthmus_sum
  END AS outcome,
  isthmus_shown.event_timestamp + INTERVAL '1800' SECOND AS created_timestamp,
  isthmus_shown.dt
FROM events_impression AS isthmus_shown
LEFT JOIN (
  SELECT
    event_id,
    dt,
    SUM(COALESCE(CAST(isthmus_value AS DOUBLE), CAST(0 AS DOUBLE))) AS isthmus_sum
  FROM (
    SELECT
      isthmus_exposure.event_id,
      isthmus_exposure.dt,
      isthmus_outcome.seconds AS isthmus_value,
      ROW_NUMBER() OVER (
        PARTITION BY isthmus_outcome.dt, isthmus_outcome.event_id
        ORDER BY isthmus_exposure.event_timestamp DESC
      ) AS isthmus_place
    FROM events_impression AS isthmus_exposure
    JOIN events_stay AS isthmus_outcome
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
