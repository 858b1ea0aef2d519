WITH units AS (
  SELECT
    unit,
    MIN(arm) AS arm,
    MAX(arm) AS other,
    '' AS segment,
    MIN(event_timestamp) AS first_at,
    TIMESTAMP_TRUNC(MIN(event_timestamp), DAY) AS first_day
  FROM assignments
  WHERE
    dt >= '2019-11-24'
    AND run = 'r.1'
    AND reason = 'split'
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
    AND segment = ''
  GROUP BY
    unit
), exposed AS (
  SELECT
    MIN(unit) AS unit,
    MIN(entity_key) AS entity_key,
    MIN(event_timestamp) AS shown_at
  FROM exposures
  WHERE
    endpoint = 'ranker'
    AND entity = 'item'
    AND dt >= '2019-11-24'
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000+00'
  GROUP BY
    dt,
    event_id
), scoped AS (
  SELECT
    'arm' AS scope,
    arm AS label,
    units.unit,
    entity_key,
    COUNT(*) AS shown
  FROM units
  JOIN exposed
    ON exposed.unit = units.unit
  WHERE
    arm = other AND shown_at >= first_at
  GROUP BY
    arm,
    units.unit,
    entity_key
), of_item AS (
  SELECT
    scope,
    label,
    entity_key,
    SUM(shown) AS shown
  FROM scoped
  GROUP BY
    scope,
    label,
    entity_key
), ranked AS (
  SELECT
    scope,
    label,
    entity_key,
    shown,
    ROW_NUMBER() OVER (
      PARTITION BY scope, label
      ORDER BY shown IS NULL ASC, shown ASC, entity_key IS NULL ASC, entity_key ASC
    ) AS place,
    COUNT(*) OVER (PARTITION BY scope, label) AS items,
    SUM(shown) OVER (PARTITION BY scope, label) AS total
  FROM of_item
), spread AS (
  SELECT
    scoped.scope,
    scoped.label,
    unit,
    MAX(items) AS items,
    SUM(scoped.shown) AS shown,
    SUM(scoped.shown * place) AS places,
    SUM(
      scoped.shown * LN(
        CASE
          WHEN (
            total / NULLIF(ranked.shown, 0)
          ) > 0
          THEN (
            total / NULLIF(ranked.shown, 0)
          )
        END
      )
    ) AS surprise
  FROM scoped
  JOIN ranked
    ON ranked.scope = scoped.scope
    AND ranked.label = scoped.label
    AND ranked.entity_key = scoped.entity_key
  GROUP BY
    scoped.scope,
    scoped.label,
    unit
)
SELECT
  label AS arm,
  MAX(items) AS n,
  CAST(SUM(shown) AS FLOAT64) AS shown,
  CAST(SUM(places) AS FLOAT64) AS places,
  CAST(SUM(surprise) AS FLOAT64) AS surprise,
  CAST(SUM(shown * shown) AS FLOAT64) AS shown_shown,
  CAST(SUM(places * places) AS FLOAT64) AS places_places,
  CAST(SUM(shown * places) AS FLOAT64) AS shown_places,
  CAST(SUM(surprise * surprise) AS FLOAT64) AS surprise_surprise,
  CAST(SUM(shown * surprise) AS FLOAT64) AS shown_surprise
FROM spread
GROUP BY
  label
UNION ALL
SELECT
  '' AS arm,
  COUNT(*) AS n,
  CAST(0 AS FLOAT64) AS shown,
  CAST(0 AS FLOAT64) AS places,
  CAST(0 AS FLOAT64) AS surprise,
  CAST(0 AS FLOAT64) AS shown_shown,
  CAST(0 AS FLOAT64) AS places_places,
  CAST(0 AS FLOAT64) AS shown_places,
  CAST(0 AS FLOAT64) AS surprise_surprise,
  CAST(0 AS FLOAT64) AS shown_surprise
FROM (
  SELECT
    entity_key
  FROM scoped
  GROUP BY
    entity_key
) AS isthmus_shown
