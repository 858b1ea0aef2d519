SELECT
  arm,
  arm AS other,
  day,
  COUNT(*) AS units,
  SUM(y) AS y,
  COUNT(*) AS d,
  SUM(y * y) AS yy,
  SUM(y) AS yd,
  COUNT(*) AS dd,
  0 AS dropped
FROM (
  SELECT
    policy AS arm,
    dt AS day,
    outcome AS y
  FROM ctr
  WHERE
    (
      policy = 'random' OR policy = 'bts'
    )
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
    AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000+00'
) AS isthmus_rows
GROUP BY
  arm,
  day
