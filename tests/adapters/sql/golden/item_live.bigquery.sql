WITH item_live_events AS (
  SELECT
    item_id,
    event_timestamp,
    1 AS tile_1,
    0 AS tile_2,
    CAST(position AS INT64) AS tile_3,
    CAST(position AS FLOAT64) AS tile_4,
    CASE WHEN position IS NULL THEN 0 ELSE 1 END AS tile_5,
    CAST(position AS INT64) AS tile_6,
    CAST(propensity AS FLOAT64) AS tile_7,
    CAST(propensity AS FLOAT64) AS tile_8
  FROM events_impression
  WHERE
    NOT item_id IS NULL
  UNION ALL
  SELECT
    item_id,
    event_timestamp,
    0 AS tile_1,
    1 AS tile_2,
    CAST(NULL AS INT64) AS tile_3,
    CAST(NULL AS FLOAT64) AS tile_4,
    0 AS tile_5,
    CAST(NULL AS INT64) AS tile_6,
    CAST(NULL AS FLOAT64) AS tile_7,
    CAST(NULL AS FLOAT64) AS tile_8
  FROM events_click
  WHERE
    NOT item_id IS NULL
), item_live_starts AS (
  SELECT
    item_id,
    tile_1,
    tile_2,
    tile_3,
    tile_4,
    tile_5,
    tile_6,
    tile_7,
    tile_8,
    TIMESTAMP_TRUNC(event_timestamp, MINUTE) AS tile_start
  FROM item_live_events
), item_live_tiles AS (
  SELECT
    item_id,
    tile_end,
    SUM(tile_1) AS tile_1,
    SUM(tile_2) AS tile_2,
    SUM(tile_3) AS tile_3,
    SUM(tile_4) AS tile_4,
    SUM(tile_5) AS tile_5,
    MIN(tile_6) AS tile_6,
    MAX(tile_7) AS tile_7,
    SUM(tile_8) AS tile_8
  FROM (
    SELECT
      item_id,
      tile_1,
      tile_2,
      tile_3,
      tile_4,
      tile_5,
      tile_6,
      tile_7,
      tile_8,
      CASE
        WHEN MOD(
          TIMESTAMP_DIFF(tile_start, TIMESTAMP '1970-01-01 00:00:00.000+00', MILLISECOND),
          300000
        ) = 0
        THEN TIMESTAMP_ADD(tile_start, INTERVAL 300 SECOND)
        WHEN MOD(
          TIMESTAMP_DIFF(tile_start, TIMESTAMP '1970-01-01 00:00:00.000+00', MILLISECOND),
          300000
        ) = 60000
        THEN TIMESTAMP_ADD(tile_start, INTERVAL 240 SECOND)
        WHEN MOD(
          TIMESTAMP_DIFF(tile_start, TIMESTAMP '1970-01-01 00:00:00.000+00', MILLISECOND),
          300000
        ) = 120000
        THEN TIMESTAMP_ADD(tile_start, INTERVAL 180 SECOND)
        WHEN MOD(
          TIMESTAMP_DIFF(tile_start, TIMESTAMP '1970-01-01 00:00:00.000+00', MILLISECOND),
          300000
        ) = 180000
        THEN TIMESTAMP_ADD(tile_start, INTERVAL 120 SECOND)
        ELSE TIMESTAMP_ADD(tile_start, INTERVAL 60 SECOND)
      END AS tile_end
    FROM item_live_starts
  ) AS item_live_ends
  GROUP BY
    item_id,
    tile_end
), item_live_moments AS (
  SELECT
    item_id,
    tile_end AS tile_moment,
    tile_1,
    tile_2,
    tile_3,
    tile_4,
    tile_5,
    tile_6,
    tile_7,
    tile_8
  FROM item_live_tiles
  UNION ALL
  SELECT
    item_id,
    TIMESTAMP_ADD(tile_end, INTERVAL 300 SECOND),
    0,
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    CAST(NULL AS FLOAT64)
  FROM item_live_tiles
  UNION ALL
  SELECT
    item_id,
    TIMESTAMP_ADD(tile_end, INTERVAL 600 SECOND),
    0,
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    CAST(NULL AS FLOAT64)
  FROM item_live_tiles
  UNION ALL
  SELECT
    item_id,
    TIMESTAMP_ADD(tile_end, INTERVAL 3600 SECOND),
    0,
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    0,
    CAST(NULL AS INT64),
    CAST(NULL AS FLOAT64),
    CAST(NULL AS FLOAT64)
  FROM item_live_tiles
), item_live_rows AS (
  SELECT
    item_id,
    tile_moment,
    SUM(tile_1) AS tile_1,
    SUM(tile_2) AS tile_2,
    SUM(tile_3) AS tile_3,
    SUM(tile_4) AS tile_4,
    SUM(tile_5) AS tile_5,
    MIN(tile_6) AS tile_6,
    MAX(tile_7) AS tile_7,
    SUM(tile_8) AS tile_8
  FROM item_live_moments
  GROUP BY
    item_id,
    tile_moment
)
SELECT
  item_id,
  tile_moment AS event_timestamp,
  TIMESTAMP_ADD(tile_moment, INTERVAL 60 SECOND) AS created_timestamp,
  SUM(tile_1) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(tile_moment) ASC
    RANGE BETWEEN 300000 PRECEDING AND CURRENT ROW
  ) AS item_shown_10m,
  SUM(tile_2) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(tile_moment) ASC
    RANGE BETWEEN 3300000 PRECEDING AND CURRENT ROW
  ) AS item_clicked_1h,
  COALESCE(
    SUM(tile_3) OVER (
      PARTITION BY item_id
      ORDER BY UNIX_MILLIS(tile_moment) ASC
      RANGE BETWEEN 300000 PRECEDING AND CURRENT ROW
    ),
    0
  ) AS item_place_sum,
  SUM(tile_4) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(tile_moment) ASC
    RANGE BETWEEN 3300000 PRECEDING AND CURRENT ROW
  ) / NULLIF(
    NULLIF(
      SUM(tile_5) OVER (
        PARTITION BY item_id
        ORDER BY UNIX_MILLIS(tile_moment) ASC
        RANGE BETWEEN 3300000 PRECEDING AND CURRENT ROW
      ),
      0
    ),
    0
  ) AS item_place_mean,
  MIN(tile_6) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(tile_moment) ASC
    RANGE BETWEEN 0 PRECEDING AND CURRENT ROW
  ) AS item_place_min,
  MAX(tile_7) OVER (
    PARTITION BY item_id
    ORDER BY UNIX_MILLIS(tile_moment) ASC
    RANGE BETWEEN 3300000 PRECEDING AND CURRENT ROW
  ) AS item_chance_max,
  COALESCE(
    SUM(tile_8) OVER (
      PARTITION BY item_id
      ORDER BY UNIX_MILLIS(tile_moment) ASC
      RANGE BETWEEN 300000 PRECEDING AND CURRENT ROW
    ),
    CAST(0 AS FLOAT64)
  ) AS item_chance_sum
FROM item_live_rows
