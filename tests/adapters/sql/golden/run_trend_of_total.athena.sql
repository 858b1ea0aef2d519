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
    CASE
      WHEN happened_at >= units.first_at
      THEN COALESCE(CAST(happened.isthmus_amount AS DOUBLE), CAST(0 AS DOUBLE))
      ELSE CAST(0 AS DOUBLE)
    END AS m0_y
  FROM units
  JOIN (
    SELECT
      CAST(visitor_id AS VARCHAR) AS unit,
      dt,
      event_timestamp AS happened_at,
      isthmus_row.amount AS isthmus_amount
    FROM events_purchase AS isthmus_row
    WHERE
      dt >= '2019-11-23' AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
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
    CAST(0 AS DOUBLE) AS m0_y
  FROM units
), by_day AS (
  SELECT
    unit,
    day,
    MIN(arm) AS arm,
    MIN(first_day) AS first_day,
    SUM(m0_y) AS m0_y
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
    SUM(m0_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS m0_y,
    m0_y AS m0_y_1
  FROM by_day
), steps AS (
  SELECT
    unit,
    arm,
    first_day,
    day,
    CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new,
    CASE WHEN m0_y > CAST(30.0E0 AS DOUBLE) THEN CAST(30.0E0 AS DOUBLE) ELSE m0_y END - 0.0E0 AS m0_y,
    CASE
      WHEN day = first_day
      THEN CAST(0 AS DOUBLE)
      ELSE CASE
        WHEN m0_y - m0_y_1 > CAST(30.0E0 AS DOUBLE)
        THEN CAST(30.0E0 AS DOUBLE)
        ELSE m0_y - m0_y_1
      END - 0.0E0
    END AS m0_y_0
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
    ) * of_y0) AS i0
  FROM steps
  JOIN weights
    ON weights.arm = steps.arm
    AND weights.since = DATE_DIFF('millisecond', first_day, day)
  WHERE
    day < TIMESTAMP '2019-12-01 00:00:00.000'
  GROUP BY
    unit
), influences AS (
  SELECT
    by_unit.arm,
    i0 - so_far0 AS i0
  FROM by_unit
  JOIN weights
    ON weights.arm = by_unit.arm
    AND weights.since = CASE
      WHEN DATE_DIFF('millisecond', first_day, TIMESTAMP '2019-12-01 00:00:00.000') > 172800000
      THEN 172800000
      ELSE DATE_DIFF('millisecond', first_day, TIMESTAMP '2019-12-01 00:00:00.000')
    END - 86400000
)
SELECT
  arm,
  COUNT(*) AS units,
  SUM(i0 * i0) AS s0
FROM influences
GROUP BY
  arm
