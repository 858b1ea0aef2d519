SELECT
  arm,
  other,
  day,
  SUM(isthmus_new) AS units,
  SUM(all_y - all_y_0) AS y,
  SUM(all_d - all_d_0) AS d,
  SUM((
    all_y - all_y_0
  ) * (
    all_y + all_y_0
  )) AS yy,
  SUM(all_y * all_d - all_y_0 * all_d_0) AS yd,
  SUM((
    all_d - all_d_0
  ) * (
    all_d + all_d_0
  )) AS dd,
  SUM(dropped - dropped_0) AS dropped
FROM (
  SELECT
    day,
    arm,
    other,
    isthmus_new,
    all_y AS all_y,
    all_d AS all_d,
    0 AS dropped,
    all_y - y AS all_y_0,
    all_d - d AS all_d_0,
    0 AS dropped_0
  FROM (
    SELECT
      isthmus_day AS day,
      y,
      d,
      MIN(isthmus_least) OVER (PARTITION BY isthmus_unit) AS arm,
      MAX(isthmus_most) OVER (PARTITION BY isthmus_unit) AS other,
      CASE
        WHEN ROW_NUMBER() OVER (PARTITION BY isthmus_unit ORDER BY isthmus_day) = 1
        THEN 1
        ELSE 0
      END AS isthmus_new,
      SUM(y) OVER (
        PARTITION BY isthmus_unit
        ORDER BY isthmus_day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS all_y,
      SUM(d) OVER (
        PARTITION BY isthmus_unit
        ORDER BY isthmus_day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS all_d
    FROM (
      SELECT
        segment_id AS isthmus_unit,
        dt AS isthmus_day,
        MIN(policy) AS isthmus_least,
        MAX(policy) AS isthmus_most,
        SUM(outcome) AS y,
        COUNT(*) AS d
      FROM ctr
      WHERE
        (
          policy = 'random' OR policy = 'bts'
        )
        AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
        AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000'
        AND NOT segment_id IS NULL
      GROUP BY
        segment_id,
        dt
    ) AS isthmus_days
  ) AS isthmus_running
) AS isthmus_units
GROUP BY
  arm,
  other,
  day
