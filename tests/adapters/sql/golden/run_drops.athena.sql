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
    CASE WHEN happened_at >= units.first_at THEN 1 ELSE 0 END AS m0_d,
    0 AS m1_y,
    0 AS m1_x,
    0 AS m2_y,
    0 AS m2_x,
    CAST(0 AS DOUBLE) AS m3_y,
    CAST(0 AS DOUBLE) AS m4_y,
    0 AS m4_d,
    CAST(0 AS DOUBLE) AS m4_x
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
    units.unit,
    arm,
    first_day,
    CASE
      WHEN happened_at < units.first_at
      THEN units.first_day
      ELSE DATE_TRUNC('DAY', happened_at)
    END AS day,
    0 AS m0_y,
    0 AS m0_d,
    CASE
      WHEN happened_at >= units.first_at
      AND happened_at < units.first_day + INTERVAL '3' DAY
      THEN 1
      ELSE 0
    END AS m1_y,
    CASE
      WHEN happened_at < units.first_at
      AND happened_at >= units.first_day - INTERVAL '2' DAY
      THEN 1
      ELSE 0
    END AS m1_x,
    0 AS m2_y,
    0 AS m2_x,
    CAST(0 AS DOUBLE) AS m3_y,
    CAST(0 AS DOUBLE) AS m4_y,
    0 AS m4_d,
    CAST(0 AS DOUBLE) AS m4_x
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
      dt >= '2019-11-23' AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
  ) AS happened
    ON happened.unit = units.unit
  WHERE
    happened_at >= units.first_day - INTERVAL '2' DAY
  UNION ALL
  SELECT
    units.unit,
    arm,
    first_day,
    CASE
      WHEN happened_at < units.first_at
      THEN units.first_day
      ELSE DATE_TRUNC('DAY', happened_at)
    END AS day,
    0 AS m0_y,
    0 AS m0_d,
    0 AS m1_y,
    0 AS m1_x,
    CASE
      WHEN happened_at >= units.first_at
      AND happened_at < units.first_day + INTERVAL '2' DAY
      THEN 1
      ELSE 0
    END AS m2_y,
    CASE
      WHEN happened_at < units.first_at
      AND happened_at >= units.first_day - INTERVAL '3' DAY
      THEN 1
      ELSE 0
    END AS m2_x,
    CASE
      WHEN happened_at >= units.first_at
      THEN COALESCE(CAST(happened.isthmus_amount AS DOUBLE), CAST(0 AS DOUBLE))
      ELSE CAST(0 AS DOUBLE)
    END AS m3_y,
    CASE
      WHEN happened_at >= units.first_at
      THEN COALESCE(CAST(happened.isthmus_amount AS DOUBLE), CAST(0 AS DOUBLE))
      ELSE CAST(0 AS DOUBLE)
    END AS m4_y,
    CASE WHEN happened_at >= units.first_at THEN 1 ELSE 0 END AS m4_d,
    CASE
      WHEN happened_at < units.first_at
      AND happened_at >= units.first_day - INTERVAL '1' DAY
      THEN COALESCE(CAST(happened.isthmus_amount AS DOUBLE), CAST(0 AS DOUBLE))
      ELSE CAST(0 AS DOUBLE)
    END AS m4_x
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
    happened_at >= units.first_day - INTERVAL '3' DAY
  UNION ALL
  SELECT
    unit,
    arm,
    first_day,
    first_day AS day,
    0 AS m0_y,
    0 AS m0_d,
    0 AS m1_y,
    0 AS m1_x,
    0 AS m2_y,
    0 AS m2_x,
    CAST(0 AS DOUBLE) AS m3_y,
    CAST(0 AS DOUBLE) AS m4_y,
    0 AS m4_d,
    CAST(0 AS DOUBLE) AS m4_x
  FROM units
), by_day AS (
  SELECT
    unit,
    day,
    MIN(arm) AS arm,
    MIN(first_day) AS first_day,
    CAST(SUM(m0_y) AS BIGINT) AS m0_y,
    CAST(SUM(m0_d) AS BIGINT) AS m0_d,
    CAST(SUM(m1_y) AS BIGINT) AS m1_y,
    CAST(SUM(m1_x) AS BIGINT) AS m1_x,
    CAST(SUM(m2_y) AS BIGINT) AS m2_y,
    CAST(SUM(m2_x) AS BIGINT) AS m2_x,
    SUM(m3_y) AS m3_y,
    SUM(m4_y) AS m4_y,
    CAST(SUM(m4_d) AS BIGINT) AS m4_d,
    SUM(m4_x) AS m4_x
  FROM happened
  GROUP BY
    unit,
    day
), running AS (
  SELECT
    arm,
    first_day,
    day,
    CAST(SUM(m0_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m0_y,
    m0_y AS m0_y_1,
    CAST(SUM(m0_d) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m0_d,
    m0_d AS m0_d_1,
    CAST(SUM(m1_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m1_y,
    m1_y AS m1_y_1,
    CAST(SUM(m1_x) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m1_x,
    CAST(SUM(m2_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m2_y,
    m2_y AS m2_y_1,
    CAST(SUM(m2_x) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m2_x,
    SUM(m3_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS m3_y,
    m3_y AS m3_y_1,
    SUM(m4_y) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS m4_y,
    m4_y AS m4_y_1,
    CAST(SUM(m4_d) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS m4_d,
    m4_d AS m4_d_1,
    SUM(m4_x) OVER (PARTITION BY unit ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS m4_x
  FROM by_day
), steps AS (
  SELECT
    arm,
    first_day,
    day,
    CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new,
    CASE WHEN m0_d > 2 THEN 0 ELSE m0_y END AS m0_y,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m0_d - m0_d_1 > 2 THEN 0 ELSE m0_y - m0_y_1 END
    END AS m0_y_0,
    CASE WHEN m0_d > 2 THEN 0 ELSE m0_d END AS m0_d,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m0_d - m0_d_1 > 2 THEN 0 ELSE m0_d - m0_d_1 END
    END AS m0_d_0,
    CASE WHEN m0_d > 2 THEN 1 ELSE 0 END AS m0_dropped,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m0_d - m0_d_1 > 2 THEN 1 ELSE 0 END
    END AS m0_dropped_0,
    m1_y AS m1_y,
    CASE WHEN day = first_day THEN 0 ELSE m1_y - m1_y_1 END AS m1_y_0,
    m1_x,
    CASE WHEN m2_y > 0 THEN 1 ELSE 0 END AS m2_y,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m2_y - m2_y_1 > 0 THEN 1 ELSE 0 END
    END AS m2_y_0,
    m2_x,
    CASE WHEN m3_y > CAST(30.0E0 AS DOUBLE) THEN CAST(30.0E0 AS DOUBLE) ELSE m3_y END - 2.5E0 AS m3_y,
    CASE
      WHEN day = first_day
      THEN CAST(0 AS DOUBLE)
      ELSE CASE
        WHEN m3_y - m3_y_1 > CAST(30.0E0 AS DOUBLE)
        THEN CAST(30.0E0 AS DOUBLE)
        ELSE m3_y - m3_y_1
      END - 2.5E0
    END AS m3_y_0,
    CASE WHEN m4_d > 2 THEN CAST(0 AS DOUBLE) ELSE m4_y END AS m4_y,
    CASE
      WHEN day = first_day
      THEN CAST(0 AS DOUBLE)
      ELSE CASE WHEN m4_d - m4_d_1 > 2 THEN CAST(0 AS DOUBLE) ELSE m4_y - m4_y_1 END
    END AS m4_y_0,
    CASE WHEN m4_d > 2 THEN 0 ELSE m4_d END AS m4_d,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m4_d - m4_d_1 > 2 THEN 0 ELSE m4_d - m4_d_1 END
    END AS m4_d_0,
    CASE WHEN m4_d > 2 THEN 1 ELSE 0 END AS m4_dropped,
    CASE
      WHEN day = first_day
      THEN 0
      ELSE CASE WHEN m4_d - m4_d_1 > 2 THEN 1 ELSE 0 END
    END AS m4_dropped_0,
    m4_x - 1.5E0 AS m4_x
  FROM running
)
SELECT
  arm,
  '' AS segment,
  first_day,
  day,
  SUM(isthmus_new) AS units,
  SUM(m0_y - m0_y_0) AS m0_y,
  SUM((
    m0_y - m0_y_0
  ) * (
    m0_y + m0_y_0
  )) AS m0_yy,
  SUM(m0_d - m0_d_0) AS m0_d,
  SUM(m0_y * m0_d - m0_y_0 * m0_d_0) AS m0_yd,
  SUM((
    m0_d - m0_d_0
  ) * (
    m0_d + m0_d_0
  )) AS m0_dd,
  SUM((
    m0_y - m0_y_0
  ) * (
    m0_y - m0_y_0
  )) AS m0_uu,
  SUM((
    m0_y - m0_y_0
  ) * (
    m0_d - m0_d_0
  )) AS m0_uv,
  SUM((
    m0_d - m0_d_0
  ) * (
    m0_d - m0_d_0
  )) AS m0_vv,
  SUM(m0_dropped - m0_dropped_0) AS m0_dropped,
  SUM(m1_y - m1_y_0) AS m1_y,
  SUM((
    m1_y - m1_y_0
  ) * (
    m1_y + m1_y_0
  )) AS m1_yy,
  SUM(isthmus_new * m1_x) AS m1_x,
  SUM(isthmus_new * m1_x * m1_x) AS m1_xx,
  SUM(m1_x * (
    m1_y - m1_y_0
  )) AS m1_yx,
  SUM(m2_y - m2_y_0) AS m2_y,
  SUM((
    m2_y - m2_y_0
  ) * (
    m2_y + m2_y_0
  )) AS m2_yy,
  SUM(isthmus_new * m2_x) AS m2_x,
  SUM(isthmus_new * m2_x * m2_x) AS m2_xx,
  SUM(m2_x * (
    m2_y - m2_y_0
  )) AS m2_yx,
  SUM(m3_y - m3_y_0) AS m3_y,
  SUM((
    m3_y - m3_y_0
  ) * (
    m3_y + m3_y_0
  )) AS m3_yy,
  SUM(m4_y - m4_y_0) AS m4_y,
  SUM((
    m4_y - m4_y_0
  ) * (
    m4_y + m4_y_0
  )) AS m4_yy,
  SUM(m4_d - m4_d_0) AS m4_d,
  SUM(m4_y * m4_d - m4_y_0 * m4_d_0) AS m4_yd,
  SUM((
    m4_d - m4_d_0
  ) * (
    m4_d + m4_d_0
  )) AS m4_dd,
  SUM((
    isthmus_new - (
      m4_dropped - m4_dropped_0
    )
  ) * m4_x) AS m4_x,
  SUM((
    isthmus_new - (
      m4_dropped - m4_dropped_0
    )
  ) * m4_x * m4_x) AS m4_xx,
  SUM(m4_x * (
    m4_y - m4_y_0
  )) AS m4_yx,
  SUM(m4_x * (
    m4_d - m4_d_0
  )) AS m4_dx,
  SUM((
    m4_y - m4_y_0
  ) * (
    m4_y - m4_y_0
  )) AS m4_uu,
  SUM((
    m4_y - m4_y_0
  ) * (
    m4_d - m4_d_0
  )) AS m4_uv,
  SUM((
    m4_d - m4_d_0
  ) * (
    m4_d - m4_d_0
  )) AS m4_vv,
  SUM(m4_dropped - m4_dropped_0) AS m4_dropped
FROM steps
GROUP BY
  arm,
  first_day,
  day
