WITH answers AS (
  SELECT
    unit,
    dt,
    version,
    attributes,
    event_timestamp,
    event_id
  FROM rankings
  WHERE
    endpoint = 'ranker'
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
    AND (
      dt >= '2019-11-24'
      OR (
        dt >= '2019-11-17' AND dt < '2019-11-24'
      )
      OR (
        dt >= '2019-11-01' AND dt < '2019-11-08'
      )
    )
), outcomes AS (
  SELECT
    unit,
    dt AS day
  FROM (
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
  GROUP BY
    unit,
    dt
), units_now AS (
  SELECT
    unit,
    dt,
    version,
    attributes
  FROM (
    SELECT
      unit,
      dt,
      version,
      attributes,
      ROW_NUMBER() OVER (
        PARTITION BY unit
        ORDER BY CASE WHEN attributes IS NULL THEN 1 ELSE 0 END, event_timestamp, event_id
      ) AS isthmus_place
    FROM answers
    WHERE
      dt >= '2019-11-24'
  ) AS isthmus_answers
  WHERE
    isthmus_place = 1
), units_of_day AS (
  SELECT
    unit,
    dt,
    version,
    attributes
  FROM (
    SELECT
      unit,
      dt,
      version,
      attributes,
      ROW_NUMBER() OVER (
        PARTITION BY unit, dt
        ORDER BY CASE WHEN attributes IS NULL THEN 1 ELSE 0 END, event_timestamp, event_id
      ) AS isthmus_place
    FROM answers
    WHERE
      dt >= '2019-11-24'
  ) AS isthmus_answers
  WHERE
    isthmus_place = 1
)
SELECT
  'now' AS period,
  '' AS day,
  version,
  attributes,
  CASE WHEN outcome.unit IS NULL THEN 0 ELSE 1 END AS satisfied,
  0 AS back,
  COUNT(*) AS units
FROM units_now
LEFT JOIN (
  SELECT
    unit
  FROM outcomes
  GROUP BY
    unit
) AS outcome
  ON outcome.unit = units_now.unit
GROUP BY
  version,
  attributes,
  CASE WHEN outcome.unit IS NULL THEN 0 ELSE 1 END
UNION ALL
SELECT
  'day' AS period,
  units_of_day.dt AS day,
  '' AS version,
  attributes,
  CASE WHEN outcome.unit IS NULL THEN 0 ELSE 1 END AS satisfied,
  0 AS back,
  COUNT(*) AS units
FROM units_of_day
LEFT JOIN outcomes AS outcome
  ON outcome.unit = units_of_day.unit AND outcome.day = units_of_day.dt
GROUP BY
  units_of_day.dt,
  attributes,
  CASE WHEN outcome.unit IS NULL THEN 0 ELSE 1 END
UNION ALL
SELECT
  'before' AS period,
  '' AS day,
  earlier.version,
  earlier.attributes,
  0 AS satisfied,
  CASE WHEN again.unit IS NULL THEN 0 ELSE 1 END AS back,
  COUNT(*) AS units
FROM (
  SELECT
    unit,
    dt,
    version,
    attributes
  FROM (
    SELECT
      unit,
      dt,
      version,
      attributes,
      ROW_NUMBER() OVER (
        PARTITION BY unit
        ORDER BY CASE WHEN attributes IS NULL THEN 1 ELSE 0 END, event_timestamp, event_id
      ) AS isthmus_place
    FROM answers
    WHERE
      dt >= '2019-11-17' AND dt < '2019-11-24'
  ) AS isthmus_answers
  WHERE
    isthmus_place = 1
) AS earlier
LEFT JOIN units_now AS again
  ON again.unit = earlier.unit
GROUP BY
  earlier.version,
  earlier.attributes,
  CASE WHEN again.unit IS NULL THEN 0 ELSE 1 END
UNION ALL
SELECT
  'first' AS period,
  '' AS day,
  '' AS version,
  attributes,
  0 AS satisfied,
  0 AS back,
  COUNT(*) AS units
FROM (
  SELECT
    unit,
    dt,
    version,
    attributes
  FROM (
    SELECT
      unit,
      dt,
      version,
      attributes,
      ROW_NUMBER() OVER (
        PARTITION BY unit
        ORDER BY CASE WHEN attributes IS NULL THEN 1 ELSE 0 END, event_timestamp, event_id
      ) AS isthmus_place
    FROM answers
    WHERE
      dt >= '2019-11-01' AND dt < '2019-11-08'
  ) AS isthmus_answers
  WHERE
    isthmus_place = 1
) AS begun
GROUP BY
  attributes
