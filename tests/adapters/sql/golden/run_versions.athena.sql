SELECT
  arm,
  version,
  COUNT(*) AS units
FROM (
  SELECT
    unit,
    arm,
    other,
    version,
    ROW_NUMBER() OVER (PARTITION BY unit ORDER BY answered_at, version) AS isthmus_place
  FROM (
    SELECT
      isthmus_unit.unit,
      MIN(arm) AS arm,
      MIN(other) AS other,
      version,
      MIN(isthmus_answer.event_timestamp) AS answered_at
    FROM rankings AS isthmus_answer
    JOIN (
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
    ) AS isthmus_unit
      ON isthmus_unit.unit = isthmus_answer.unit
    WHERE
      dt >= '2019-11-24'
      AND endpoint = 'ranker'
      AND isthmus_answer.event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
      AND isthmus_answer.event_timestamp >= first_at
    GROUP BY
      isthmus_unit.unit,
      version
  ) AS isthmus_by_version
) AS isthmus_answered
WHERE
  isthmus_place = 1 AND arm = other
GROUP BY
  arm,
  version
