SELECT
  items.item_id,
  TIMESTAMP '2019-11-24 00:00:00.000' AS event_timestamp,
  item_feature_0 AS item_score,
  item_feature_1 AS item_category,
  CAST(alpha AS DOUBLE) / NULLIF(alpha + beta, 0) AS item_ctr_prior
FROM items
JOIN item_prior
  ON item_prior.item_id = items.item_id
