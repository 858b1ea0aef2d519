SELECT
  COALESCE(CAST(item_kind AS VARCHAR), '(unknown)') AS grp,
  COUNT(*) AS exposures
FROM (
  WITH isthmus_spine AS (
    SELECT
      item_id,
      CAST(item_id AS VARCHAR) AS entity_key,
      event_timestamp
    FROM ctr
    WHERE
      event_timestamp >= TIMESTAMP '2019-11-01 00:00:00.000'
      AND event_timestamp < TIMESTAMP '2019-12-01 00:00:00.000'
      AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000'
      AND dt >= '2019-11-01'
      AND dt <= '2019-12-01'
  ), isthmus_versions_0 AS (
    SELECT
      entity_key,
      event_timestamp,
      isthmus_known,
      item_kind,
      ROW_NUMBER() OVER (
        PARTITION BY entity_key
        ORDER BY event_timestamp, COALESCE(created_timestamp, event_timestamp)
      ) AS isthmus_version
    FROM (
      SELECT
        entity_key,
        event_timestamp,
        created_timestamp,
        CASE
          WHEN created_timestamp > event_timestamp
          THEN created_timestamp
          ELSE event_timestamp
        END AS isthmus_known,
        item_kind
      FROM kind_history
      WHERE
        NOT entity_key IS NULL
        AND NOT event_timestamp IS NULL
        AND created_timestamp <= TIMESTAMP '2019-12-01 00:00:00.000'
    ) AS isthmus_published
  ), isthmus_best_0 AS (
    SELECT
      entity_key,
      isthmus_moment,
      isthmus_asked,
      MAX(isthmus_version) OVER (PARTITION BY entity_key ORDER BY isthmus_moment) AS isthmus_version
    FROM (
      SELECT
        entity_key,
        isthmus_known AS isthmus_moment,
        isthmus_version,
        0 AS isthmus_asked
      FROM isthmus_versions_0
      UNION ALL
      SELECT
        entity_key,
        event_timestamp AS isthmus_moment,
        0 AS isthmus_version,
        1 AS isthmus_asked
      FROM isthmus_spine
      WHERE
        NOT entity_key IS NULL AND NOT event_timestamp IS NULL
      GROUP BY
        entity_key,
        event_timestamp
    ) AS isthmus_moments
  ), isthmus_view_0 AS (
    SELECT
      isthmus_best.entity_key,
      isthmus_best.isthmus_moment AS isthmus_time,
      isthmus_row.item_kind
    FROM isthmus_best_0 AS isthmus_best
    JOIN isthmus_versions_0 AS isthmus_row
      ON isthmus_row.entity_key = isthmus_best.entity_key
      AND isthmus_row.isthmus_version = isthmus_best.isthmus_version
    WHERE
      isthmus_best.isthmus_asked = 1
      AND isthmus_best.isthmus_moment <= isthmus_row.event_timestamp + INTERVAL '2592000' SECOND
  )
  SELECT
    isthmus_spine.entity_key,
    isthmus_view_0.item_kind
  FROM isthmus_spine
  LEFT JOIN isthmus_view_0
    ON isthmus_spine.entity_key = isthmus_view_0.entity_key
    AND isthmus_spine.event_timestamp = isthmus_view_0.isthmus_time
) AS isthmus_trained
GROUP BY
  COALESCE(CAST(item_kind AS VARCHAR), '(unknown)')
