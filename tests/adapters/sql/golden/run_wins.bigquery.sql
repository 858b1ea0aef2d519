WITH units AS (
  SELECT
    unit,
    CASE WHEN arm <> other THEN -1 WHEN arm = 'interleaved' THEN 0 ELSE -2 END AS arm,
    first_at,
    first_day
  FROM (
    SELECT
      unit,
      MIN(arm) AS arm,
      MAX(arm) AS other,
      '' AS segment,
      MIN(event_timestamp) AS first_at,
      TIMESTAMP_TRUNC(MIN(event_timestamp), DAY) AS first_day
    FROM assignments
    WHERE
      dt >= '2019-11-23'
      AND run = 'r.1'
      AND reason = 'split'
      AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
      AND segment = ''
    GROUP BY
      unit
  ) AS isthmus_units
), happened AS (
  SELECT
    units.unit,
    arm,
    first_day,
    TIMESTAMP_TRUNC(happened_at, DAY) AS day,
    CASE WHEN happened_at >= units.first_at THEN happened.isthmus_win ELSE 0 END AS m0_y,
    CASE WHEN happened_at >= units.first_at THEN happened.isthmus_counts ELSE 0 END AS m0_d,
    0 AS m1_y,
    0 AS m1_d
  FROM units
  JOIN (
    SELECT
      isthmus_of.unit,
      event_timestamp AS happened_at,
      outcome AS isthmus_counts,
      outcome * isthmus_of.win AS isthmus_win
    FROM ctr AS isthmus_row
    JOIN (
      SELECT
        event_id AS isthmus_id,
        MIN(unit) AS unit,
        MIN(CASE WHEN credit = 'champion' THEN -1 ELSE 1 END) AS win
      FROM exposures
      WHERE
        dt >= '2019-11-23' AND (
          credit = 'champion' OR credit = 'challenger'
        )
      GROUP BY
        event_id
    ) AS isthmus_of
      ON isthmus_row.exposure_id = isthmus_of.isthmus_id
    WHERE
      dt >= '2019-11-23'
      AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
      AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000+00'
  ) AS happened
    ON happened.unit = units.unit
  WHERE
    happened_at >= units.first_at
  UNION ALL
  SELECT
    units.unit,
    arm,
    first_day,
    TIMESTAMP_TRUNC(happened_at, DAY) AS day,
    0 AS m0_y,
    0 AS m0_d,
    CASE
      WHEN happened_at >= units.first_at
      AND happened_at < TIMESTAMP_ADD(units.first_day, INTERVAL 3 DAY)
      THEN happened.isthmus_win
      ELSE 0
    END AS m1_y,
    CASE
      WHEN happened_at >= units.first_at
      AND happened_at < TIMESTAMP_ADD(units.first_day, INTERVAL 3 DAY)
      THEN happened.isthmus_counts
      ELSE 0
    END AS m1_d
  FROM units
  JOIN (
    SELECT
      isthmus_of.unit,
      event_timestamp AS happened_at,
      1 AS isthmus_counts,
      1 * isthmus_of.win AS isthmus_win
    FROM events_click AS isthmus_row
    JOIN (
      SELECT
        isthmus_event.event_id AS isthmus_id,
        MIN(isthmus_next.unit) AS unit,
        MIN(isthmus_next.win) AS win
      FROM events_impression AS isthmus_event
      JOIN (
        SELECT
          event_id AS isthmus_id,
          MIN(unit) AS unit,
          MIN(CASE WHEN credit = 'champion' THEN -1 ELSE 1 END) AS win
        FROM exposures
        WHERE
          dt >= '2019-11-23' AND (
            credit = 'champion' OR credit = 'challenger'
          )
        GROUP BY
          event_id
      ) AS isthmus_next
        ON isthmus_event.exposure_id = isthmus_next.isthmus_id
      GROUP BY
        isthmus_event.event_id
    ) AS isthmus_of
      ON isthmus_row.impression_id = isthmus_of.isthmus_id
    WHERE
      dt >= '2019-11-23' AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
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
    0 AS m0_d,
    0 AS m1_y,
    0 AS m1_d
  FROM units
), by_day AS (
  SELECT
    unit,
    day,
    MIN(arm) AS arm,
    MIN(first_day) AS first_day,
    CAST(SUM(m0_y) AS INT64) AS m0_y,
    CAST(SUM(m0_d) AS INT64) AS m0_d,
    CAST(SUM(m1_y) AS INT64) AS m1_y,
    CAST(SUM(m1_d) AS INT64) AS m1_d
  FROM happened
  GROUP BY
    unit,
    day
), running AS (
  SELECT
    arm,
    first_day,
    day,
    CAST(SUM(m0_y) OVER (
      PARTITION BY unit
      ORDER BY day IS NULL ASC, day ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS INT64) AS m0_y,
    m0_y AS m0_y_1,
    CAST(SUM(m0_d) OVER (
      PARTITION BY unit
      ORDER BY day IS NULL ASC, day ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS INT64) AS m0_d,
    m0_d AS m0_d_1,
    CAST(SUM(m1_y) OVER (
      PARTITION BY unit
      ORDER BY day IS NULL ASC, day ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS INT64) AS m1_y,
    m1_y AS m1_y_1,
    CAST(SUM(m1_d) OVER (
      PARTITION BY unit
      ORDER BY day IS NULL ASC, day ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS INT64) AS m1_d,
    m1_d AS m1_d_1
  FROM by_day
), steps AS (
  SELECT
    arm,
    first_day,
    day,
    CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new,
    m0_y AS m0_y,
    CASE WHEN day = first_day THEN 0 ELSE m0_y - m0_y_1 END AS m0_y_0,
    m0_d AS m0_d,
    CASE WHEN day = first_day THEN 0 ELSE m0_d - m0_d_1 END AS m0_d_0,
    m1_y AS m1_y,
    CASE WHEN day = first_day THEN 0 ELSE m1_y - m1_y_1 END AS m1_y_0,
    m1_d AS m1_d,
    CASE WHEN day = first_day THEN 0 ELSE m1_d - m1_d_1 END AS m1_d_0
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
  SUM(m1_y - m1_y_0) AS m1_y,
  SUM((
    m1_y - m1_y_0
  ) * (
    m1_y + m1_y_0
  )) AS m1_yy,
  SUM(m1_d - m1_d_0) AS m1_d,
  SUM(m1_y * m1_d - m1_y_0 * m1_d_0) AS m1_yd,
  SUM((
    m1_d - m1_d_0
  ) * (
    m1_d + m1_d_0
  )) AS m1_dd
FROM steps
GROUP BY
  arm,
  first_day,
  day
