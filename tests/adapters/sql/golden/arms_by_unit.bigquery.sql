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
    MIN(policy) AS arm,
    MAX(policy) AS other,
    SUM(outcome) AS y,
    COUNT(*) AS d
  FROM ctr
  WHERE
    (
      policy = 'random' OR policy = 'bts'
    )
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
    AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000+00'
    AND NOT segment_id IS NULL
  GROUP BY
    segment_id
) AS isthmus_units
GROUP BY
  arm,
  other
