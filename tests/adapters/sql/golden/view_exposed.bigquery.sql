SELECT
  isthmus_event.event_id,
  isthmus_event.event_timestamp,
  isthmus_event.exposure_id,
  isthmus_event.seconds,
  isthmus_exposure.unit,
  isthmus_exposure.variant,
  isthmus_exposure.version,
  isthmus_exposure.assignments,
  isthmus_exposure.parameters,
  isthmus_exposure.position,
  isthmus_exposure.propensity,
  isthmus_event.dt
FROM events_view AS isthmus_event
LEFT JOIN (
  SELECT
    event_id,
    unit,
    variant,
    version,
    assignments,
    parameters,
    position,
    propensity
  FROM (
    SELECT
      event_id,
      unit,
      variant,
      version,
      assignments,
      parameters,
      position,
      propensity,
      ROW_NUMBER() OVER (
        PARTITION BY event_id
        ORDER BY event_timestamp IS NULL ASC, event_timestamp ASC, COALESCE(correction, 0) DESC, COALESCE(stored_timestamp, TIMESTAMP '1970-01-01 00:00:00.000+00') IS NULL ASC, COALESCE(stored_timestamp, TIMESTAMP '1970-01-01 00:00:00.000+00') ASC, payload_digest IS NULL ASC, payload_digest ASC
      ) AS isthmus_copy
    FROM exposures
  ) AS isthmus_copies
  WHERE
    isthmus_copy = 1
) AS isthmus_exposure
  ON isthmus_exposure.event_id = isthmus_event.exposure_id
