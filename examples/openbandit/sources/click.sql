-- sources/click.sql. The log has no click time: a click takes its impression's, the earliest that it can be.
SELECT 'click-' || policy || '-' || column00 AS event_id, timestamp AS event_timestamp,
       policy || '-' || column00 AS impression_id, item_id
FROM (SELECT 'random' AS policy, * FROM 'data/random.parquet'
      UNION ALL BY NAME SELECT 'bts' AS policy, * FROM 'data/bts.parquet')
WHERE click = 1
