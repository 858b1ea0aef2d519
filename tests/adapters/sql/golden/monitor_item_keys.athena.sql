WITH copies AS (
  SELECT
    event_id,
    event_timestamp,
    dt,
    unit,
    version,
    entity_key,
    position,
    score,
    explored,
    ROW_NUMBER() OVER (
      PARTITION BY dt, event_id
      ORDER BY COALESCE(correction, 0) DESC, COALESCE(stored_timestamp, TIMESTAMP '1970-01-01 00:00:00.000'), payload_digest
    ) AS isthmus_copy
  FROM exposures
  WHERE
    endpoint = 'ranker'
    AND entity = 'item'
    AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
    AND (
      dt >= '2019-11-24' OR (
        dt >= '2019-11-01' AND dt < '2019-11-08'
      )
    )
), grouped AS (
  SELECT
    event_id,
    event_timestamp,
    dt,
    unit,
    version,
    entity_key,
    position,
    score,
    explored,
    COALESCE(entity_key, '(unknown)') AS grp
  FROM (
    SELECT
      event_id,
      event_timestamp,
      dt,
      unit,
      version,
      entity_key,
      position,
      score,
      explored
    FROM copies
    WHERE
      isthmus_copy = 1
  ) AS isthmus_grouped
), largest AS (
  SELECT
    grp,
    ROW_NUMBER() OVER (ORDER BY exposures DESC, grp) AS place
  FROM (
    SELECT
      grp,
      COUNT(*) AS exposures
    FROM grouped
    GROUP BY
      grp
  ) AS isthmus_counted
), rated AS (
  SELECT
    unit,
    dt,
    version,
    entity_key,
    position,
    score,
    explored,
    CASE WHEN place <= 20 THEN grouped.grp ELSE '(others)' END AS grp,
    CASE
      WHEN grouped.event_timestamp + INTERVAL '1800' SECOND > TIMESTAMP '2019-12-01 00:00:00.000'
      THEN CAST(NULL AS BIGINT)
      WHEN hit.clicked >= grouped.event_timestamp
      AND hit.clicked <= grouped.event_timestamp + INTERVAL '1800' SECOND
      THEN 1
      ELSE 0
    END AS outcome
  FROM grouped
  JOIN largest
    ON largest.grp = grouped.grp
  LEFT JOIN (
    SELECT
      exposure_id,
      MIN(event_timestamp) AS clicked
    FROM events_click
    WHERE
      dt >= '2019-11-24'
    GROUP BY
      exposure_id
  ) AS hit
    ON hit.exposure_id = grouped.event_id
), parts AS (
  SELECT
    unit,
    dt,
    version,
    grp,
    entity_key,
    COUNT(*) AS shown,
    SUM(
      CAST(LN(CASE WHEN 2 > 0 THEN 2 END) AS DOUBLE) / NULLIF(LN(CASE WHEN (
        1 + position
      ) > 0 THEN (
        1 + position
      ) END), 0)
    ) AS seen,
    SUM(CASE WHEN explored AND outcome = 1 THEN 1 ELSE 0 END) AS organic,
    SUM(COALESCE(outcome, 0)) AS clicks,
    SUM(CASE WHEN outcome IS NULL THEN CAST(0 AS DOUBLE) ELSE score END) AS expected
  FROM rated
  GROUP BY
    unit,
    dt,
    version,
    grp,
    entity_key
), scoped AS (
  SELECT
    'window' AS scope,
    '' AS label,
    unit,
    grp,
    entity_key,
    shown,
    seen,
    organic,
    clicks,
    expected
  FROM parts
  WHERE
    dt >= '2019-11-24'
  UNION ALL
  SELECT
    'day' AS scope,
    dt AS label,
    unit,
    grp,
    entity_key,
    shown,
    seen,
    organic,
    clicks,
    expected
  FROM parts
  WHERE
    dt >= '2019-11-24'
  UNION ALL
  SELECT
    'version' AS scope,
    version AS label,
    unit,
    grp,
    entity_key,
    shown,
    seen,
    organic,
    clicks,
    expected
  FROM parts
  WHERE
    dt >= '2019-11-24'
  UNION ALL
  SELECT
    'first' AS scope,
    '' AS label,
    unit,
    grp,
    entity_key,
    shown,
    seen,
    organic,
    clicks,
    expected
  FROM parts
  WHERE
    dt >= '2019-11-01' AND dt < '2019-11-08'
), of_group AS (
  SELECT
    scope,
    label,
    unit,
    grp,
    SUM(shown) AS shown,
    SUM(seen) AS seen,
    SUM(organic) AS organic,
    SUM(clicks) AS clicks,
    SUM(expected) AS expected
  FROM scoped
  GROUP BY
    scope,
    label,
    unit,
    grp
), of_unit AS (
  SELECT
    scope,
    label,
    unit,
    SUM(shown) AS shown,
    SUM(seen) AS seen,
    SUM(organic) AS organic,
    SUM(clicks) AS clicks,
    SUM(expected) AS expected
  FROM of_group
  GROUP BY
    scope,
    label,
    unit
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
    ROW_NUMBER() OVER (PARTITION BY scope, label ORDER BY shown, entity_key) AS place,
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
            CAST(total AS DOUBLE) / NULLIF(ranked.shown, 0)
          ) > 0
          THEN (
            CAST(total AS DOUBLE) / NULLIF(ranked.shown, 0)
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
  'group' AS kind,
  g.scope,
  g.label,
  g.grp,
  COUNT(*) AS n,
  CAST(SUM(g.shown) AS DOUBLE) AS shown,
  CAST(SUM(g.seen) AS DOUBLE) AS seen,
  CAST(SUM(g.organic) AS DOUBLE) AS organic,
  CAST(SUM(g.clicks) AS DOUBLE) AS clicks,
  CAST(SUM(g.expected) AS DOUBLE) AS expected,
  CAST(SUM(g.shown * g.shown) AS DOUBLE) AS shown_shown,
  CAST(SUM(g.shown * u.shown) AS DOUBLE) AS shown_all,
  CAST(SUM(g.seen * g.seen) AS DOUBLE) AS seen_seen,
  CAST(SUM(g.seen * u.seen) AS DOUBLE) AS seen_all,
  CAST(SUM(g.organic * g.organic) AS DOUBLE) AS organic_organic,
  CAST(SUM(g.organic * u.organic) AS DOUBLE) AS organic_all,
  CAST(SUM(g.shown * g.organic) AS DOUBLE) AS shown_organic,
  CAST(SUM(g.shown * u.organic) AS DOUBLE) AS shown_organic_all,
  CAST(SUM(g.organic * u.shown) AS DOUBLE) AS organic_shown_all,
  CAST(0 AS DOUBLE) AS places,
  CAST(0 AS DOUBLE) AS surprise,
  CAST(0 AS DOUBLE) AS places_places,
  CAST(0 AS DOUBLE) AS shown_places,
  CAST(0 AS DOUBLE) AS surprise_surprise,
  CAST(0 AS DOUBLE) AS shown_surprise,
  CAST(0 AS DOUBLE) AS never
FROM of_group AS g
JOIN of_unit AS u
  ON u.scope = g.scope AND u.label = g.label AND u.unit = g.unit
GROUP BY
  g.scope,
  g.label,
  g.grp
UNION ALL
SELECT
  'all' AS kind,
  g.scope,
  g.label,
  '' AS grp,
  COUNT(*) AS n,
  CAST(SUM(g.shown) AS DOUBLE) AS shown,
  CAST(SUM(g.seen) AS DOUBLE) AS seen,
  CAST(SUM(g.organic) AS DOUBLE) AS organic,
  CAST(SUM(g.clicks) AS DOUBLE) AS clicks,
  CAST(SUM(g.expected) AS DOUBLE) AS expected,
  CAST(SUM(g.shown * g.shown) AS DOUBLE) AS shown_shown,
  CAST(SUM(g.shown * g.shown) AS DOUBLE) AS shown_all,
  CAST(SUM(g.seen * g.seen) AS DOUBLE) AS seen_seen,
  CAST(SUM(g.seen * g.seen) AS DOUBLE) AS seen_all,
  CAST(SUM(g.organic * g.organic) AS DOUBLE) AS organic_organic,
  CAST(SUM(g.organic * g.organic) AS DOUBLE) AS organic_all,
  CAST(SUM(g.shown * g.organic) AS DOUBLE) AS shown_organic,
  CAST(SUM(g.shown * g.organic) AS DOUBLE) AS shown_organic_all,
  CAST(SUM(g.organic * g.shown) AS DOUBLE) AS organic_shown_all,
  CAST(0 AS DOUBLE) AS places,
  CAST(0 AS DOUBLE) AS surprise,
  CAST(0 AS DOUBLE) AS places_places,
  CAST(0 AS DOUBLE) AS shown_places,
  CAST(0 AS DOUBLE) AS surprise_surprise,
  CAST(0 AS DOUBLE) AS shown_surprise,
  CAST(0 AS DOUBLE) AS never
FROM of_unit AS g
GROUP BY
  g.scope,
  g.label
UNION ALL
SELECT
  'spread' AS kind,
  scope,
  label,
  '' AS grp,
  MAX(items) AS n,
  CAST(SUM(shown) AS DOUBLE) AS shown,
  CAST(0 AS DOUBLE) AS seen,
  CAST(0 AS DOUBLE) AS organic,
  CAST(0 AS DOUBLE) AS clicks,
  CAST(0 AS DOUBLE) AS expected,
  CAST(SUM(shown * shown) AS DOUBLE) AS shown_shown,
  CAST(0 AS DOUBLE) AS shown_all,
  CAST(0 AS DOUBLE) AS seen_seen,
  CAST(0 AS DOUBLE) AS seen_all,
  CAST(0 AS DOUBLE) AS organic_organic,
  CAST(0 AS DOUBLE) AS organic_all,
  CAST(0 AS DOUBLE) AS shown_organic,
  CAST(0 AS DOUBLE) AS shown_organic_all,
  CAST(0 AS DOUBLE) AS organic_shown_all,
  CAST(SUM(places) AS DOUBLE) AS places,
  CAST(SUM(surprise) AS DOUBLE) AS surprise,
  CAST(SUM(places * places) AS DOUBLE) AS places_places,
  CAST(SUM(shown * places) AS DOUBLE) AS shown_places,
  CAST(SUM(surprise * surprise) AS DOUBLE) AS surprise_surprise,
  CAST(SUM(shown * surprise) AS DOUBLE) AS shown_surprise,
  CAST(0 AS DOUBLE) AS never
FROM spread
GROUP BY
  scope,
  label
UNION ALL
SELECT
  'catalogue' AS kind,
  'window' AS scope,
  '' AS label,
  grp,
  COUNT(*) AS n,
  CAST(0 AS DOUBLE) AS shown,
  CAST(0 AS DOUBLE) AS seen,
  CAST(0 AS DOUBLE) AS organic,
  CAST(0 AS DOUBLE) AS clicks,
  CAST(0 AS DOUBLE) AS expected,
  CAST(0 AS DOUBLE) AS shown_shown,
  CAST(0 AS DOUBLE) AS shown_all,
  CAST(0 AS DOUBLE) AS seen_seen,
  CAST(0 AS DOUBLE) AS seen_all,
  CAST(0 AS DOUBLE) AS organic_organic,
  CAST(0 AS DOUBLE) AS organic_all,
  CAST(0 AS DOUBLE) AS shown_organic,
  CAST(0 AS DOUBLE) AS shown_organic_all,
  CAST(0 AS DOUBLE) AS organic_shown_all,
  CAST(0 AS DOUBLE) AS places,
  CAST(0 AS DOUBLE) AS surprise,
  CAST(0 AS DOUBLE) AS places_places,
  CAST(0 AS DOUBLE) AS shown_places,
  CAST(0 AS DOUBLE) AS surprise_surprise,
  CAST(0 AS DOUBLE) AS shown_surprise,
  CAST(SUM(CASE WHEN isthmus_shown.entity_key IS NULL THEN 1 ELSE 0 END) AS DOUBLE) AS never
FROM (
  SELECT
    entity_key,
    '' AS grp
  FROM parts
  GROUP BY
    entity_key
) AS there
LEFT JOIN (
  SELECT
    entity_key
  FROM of_item
  WHERE
    scope = 'window'
) AS isthmus_shown
  ON isthmus_shown.entity_key = there.entity_key
GROUP BY
  grp
