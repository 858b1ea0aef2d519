SELECT
  arm,
  other,
  COUNT(*) AS units,
  SUM(y) AS y,
  SUM(d) AS d,
  SUM(y * y) AS yy,
  SUM(y * d) AS yd,
  SUM(d * d) AS dd
FROM (
  SELECT
    policy AS arm,
    policy AS other,
    outcome AS y,
    1 AS d
  FROM ctr
  WHERE
    (
      policy = 'random' OR policy = 'bts'
    )
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
    AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000'
) AS isthmus_units
GROUP BY
  arm,
  other
