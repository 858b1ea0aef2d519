WITH units AS (
  SELECT
    unit,
    MIN(arm) AS arm,
    MAX(arm) AS other,
    '' AS segment,
    MIN(event_timestamp) AS first_at,
    DATE_TRUNC('DAY', MIN(event_timestamp)) AS first_day
  FROM assignments
  WHERE
    dt >= '2019-11-24'
    AND run = 'r.1'
    AND reason = 'split'
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
    AND segment = ''
  GROUP BY
    unit
), said AS (
  SELECT
    unit,
    attributes
  FROM (
    SELECT
      units.unit,
      attributes,
      ROW_NUMBER() OVER (PARTITION BY units.unit ORDER BY event_timestamp, event_id) AS isthmus_place
    FROM units
    JOIN (
      SELECT
        unit,
        attributes,
        event_timestamp,
        event_id
      FROM rankings
      WHERE
        endpoint = 'ranker'
        AND dt >= '2019-11-24'
        AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
        AND NOT attributes IS NULL
    ) AS isthmus_answers
      ON isthmus_answers.unit = units.unit
    WHERE
      arm = other AND event_timestamp >= first_at
  ) AS isthmus_placed
  WHERE
    isthmus_place = 1
), hit AS (
  SELECT
    units.unit
  FROM units
  JOIN (
    SELECT
      isthmus_of.unit,
      dt,
      event_timestamp AS happened_at
    FROM events_click AS isthmus_row
    JOIN (
      SELECT
        event_id AS isthmus_id,
        MIN(unit) AS unit
      FROM impression_exposed
      GROUP BY
        event_id
    ) AS isthmus_of
      ON isthmus_row.impression_id = isthmus_of.isthmus_id
    WHERE
      dt >= '2019-11-24' AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
  ) AS happened
    ON happened.unit = units.unit
  WHERE
    happened_at >= first_at
  GROUP BY
    units.unit
)
SELECT
  arm,
  attributes,
  CASE WHEN hit.unit IS NULL THEN 0 ELSE 1 END AS satisfied,
  COUNT(*) AS units
FROM units
JOIN said
  ON said.unit = units.unit
LEFT JOIN hit
  ON hit.unit = units.unit
WHERE
  arm = other
GROUP BY
  arm,
  attributes,
  CASE WHEN hit.unit IS NULL THEN 0 ELSE 1 END
