WITH units AS (
  SELECT
    unit,
    CASE
      WHEN arm <> other
      THEN -1
      WHEN arm = 'control'
      THEN 0
      WHEN arm = 'treatment'
      THEN 1
      ELSE -2
    END AS arm,
    first_at,
    first_day
  FROM (
    SELECT
      unit,
      MIN(arm) AS arm,
      MAX(arm) AS other,
      '' AS segment,
      MIN(event_timestamp) AS first_at,
      DATE_TRUNC('DAY', MIN(event_timestamp)) AS first_day
    FROM assignments
    WHERE
      dt >= '2019-11-23'
      AND run = 'r.1'
      AND reason = 'split'
      AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
      AND segment = ''
    GROUP BY
      unit
  ) AS isthmus_units
), happened AS (
  SELECT
    units.unit,
    arm,
    first_day,
    DATE_TRUNC('DAY', happened_at) AS day,
    CASE WHEN happened_at >= units.first_at THEN happened.isthmus_outcome ELSE 0 END AS m0_y,
    CASE WHEN happened_at >= units.first_at THEN 1 ELSE 0 END AS m0_d
  FROM units
  JOIN (
    SELECT
      isthmus_of.unit,
      dt,
      event_timestamp AS happened_at,
      isthmus_row.outcome AS isthmus_outcome
    FROM ctr AS isthmus_row
    JOIN (
      SELECT
        event_id AS isthmus_id,
        MIN(unit) AS unit
      FROM impression_exposed
      GROUP BY
        event_id
    ) AS isthmus_of
      ON isthmus_row.event_id = isthmus_of.isthmus_id
    WHERE
      dt >= '2019-11-23'
      AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
      AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000'
  ) AS happened
    ON happened.unit = units.unit
  WHERE
    happened_at >= units.first_at
  UNION ALL
  SELECT
    unit,
    arm,
    first_day,
    first_day AS day,
    0 AS m0_y,
    0 AS m0_d
  FROM units
), by_day AS (
  SELECT
    unit,
    day,
    MIN(arm) AS arm,
    MIN(first_day) AS first_day,
    CAST(SUM(m0_y) AS BIGINT) AS m0_y,
    CAST(SUM(m0_d) AS BIGINT) AS m0_d
  FROM happened
  GROUP BY
    unit,
    day
), running AS (
  SELECT
    unit,
    arm,
    first_day,
    day,
    CAST(SUM(m0_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m0_y,
    m0_y AS m0_y_1,
    CAST(SUM(m0_d) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m0_d,
    m0_d AS m0_d_1
  FROM by_day
), steps AS (
  SELECT
    unit,
    arm,
    first_day,
    day,
    CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new,
    m0_y AS m0_y,
    CASE WHEN day = first_day THEN 0 ELSE m0_y - m0_y_1 END AS m0_y_0,
    m0_d AS m0_d,
    CASE WHEN day = first_day THEN 0 ELSE m0_d - m0_d_1 END AS m0_d_0
  FROM running
), weights AS (
  SELECT
    0 AS arm,
    0 AS since,
    CAST(0.001E0 AS DOUBLE) AS of_y0,
    CAST(1e-05 AS DOUBLE) AS of_d0,
    CAST(1e-05 AS DOUBLE) AS so_far0
  UNION ALL
  SELECT
    0 AS arm,
    86400000 AS since,
    CAST(-0.001E0 AS DOUBLE) AS of_y0,
    CAST(0.25E0 AS DOUBLE) AS of_d0,
    CAST(0.25001E0 AS DOUBLE) AS so_far0
  UNION ALL
  SELECT
    1 AS arm,
    0 AS since,
    CAST(0.001E0 AS DOUBLE) AS of_y0,
    CAST(1e-05 AS DOUBLE) AS of_d0,
    CAST(1e-05 AS DOUBLE) AS so_far0
  UNION ALL
  SELECT
    1 AS arm,
    86400000 AS since,
    CAST(-0.001E0 AS DOUBLE) AS of_y0,
    CAST(0.25E0 AS DOUBLE) AS of_d0,
    CAST(0.25001E0 AS DOUBLE) AS so_far0
), by_unit AS (
  SELECT
    unit,
    MIN(steps.arm) AS arm,
    MIN(first_day) AS first_day,
    SUM((
      m0_y - m0_y_0
    ) * of_y0 - (
      m0_d - m0_d_0
    ) * of_d0) AS i0
  FROM steps
  JOIN weights
    ON weights.arm = steps.arm
    AND weights.since = DATE_DIFF('millisecond', first_day, day)
  WHERE
    day < TIMESTAMP '2019-12-01 00:00:00.000'
  GROUP BY
    unit
)
SELECT
  arm,
  COUNT(*) AS units,
  SUM(i0 * i0) AS s0
FROM by_unit
GROUP BY
  arm
