-- sources/impression.sql. The user's four hashed features make a segment.
SELECT policy || '-' || column00 AS event_id, timestamp AS event_timestamp,
       item_id, position, policy, propensity_score AS propensity,
       substr(md5(concat_ws('|', user_feature_0, user_feature_1, user_feature_2, user_feature_3)), 1, 12) AS segment_id
FROM (SELECT 'random' AS policy, * FROM 'data/random.parquet'
      UNION ALL BY NAME SELECT 'bts' AS policy, * FROM 'data/bts.parquet')
