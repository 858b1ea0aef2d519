"""The vocabulary of Athena's language: the functions and clauses that a query may use.

Whatever is not here is refused before it is translated.

Sources: Athena user guide, "Functions in Amazon Athena" (engine version 3), which refers to Trino's
"Functions and operators", and "Considerations and limitations"; Trino's "SELECT" for the clauses.
The list says what Athena knows, not what this stack can run: functions.py says that, and a function
that is here and not there fails with a reason that names the stack.
"""

# ruff: noqa: SIM905  lists of words read better as lines of words
from __future__ import annotations

from sqlglot import expressions as exp

AGGREGATES = frozenset(
    """any_value approx_distinct approx_most_frequent approx_percentile approx_set arbitrary
    array_agg avg bitwise_and_agg bitwise_or_agg bitwise_xor_agg bool_and bool_or checksum corr
    count count_if covar_pop covar_samp every geometric_mean histogram kurtosis listagg map_agg
    map_union max max_by merge min min_by multimap_agg numeric_histogram qdigest_agg reduce_agg
    regr_intercept regr_slope skewness stddev stddev_pop stddev_samp sum tdigest_agg var_pop
    var_samp variance""".split()
)
WINDOW_ONLY = frozenset(
    "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank "
    "row_number".split()
)
SCALARS = frozenset(
    """abs acos all_match any_match array_distinct array_except array_histogram array_intersect
    array_join array_max array_min array_position array_remove array_sort array_union
    arrays_overlap asin at_timezone atan atan2 bar beta_cdf bing_tile bing_tile_at
    bing_tile_coordinates bing_tile_polygon bing_tile_quadkey bing_tile_zoom_level
    bing_tiles_around bit_count bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_right_shift_arithmetic bitwise_xor cardinality cbrt ceil ceiling
    char2hexint chr classify coalesce codepoint color combinations concat concat_ws contains
    contains_sequence cos cosh cosine_similarity cot crc32 current_timezone date date_add
    date_diff date_format date_parse date_trunc day day_of_month day_of_week day_of_year degrees
    dow doy e element_at empty_approx_set exp features filter flatten floor format
    format_datetime format_number from_base from_base32 from_base64 from_base64url
    from_big_endian_32 from_big_endian_64 from_encoded_polyline from_geojson_geometry from_hex
    from_ieee754_32 from_ieee754_64 from_iso8601_date from_iso8601_timestamp
    from_iso8601_timestamp_nanos from_unixtime from_unixtime_nanos from_utf8
    geometry_from_hadoop_shape geometry_invalid_reason geometry_nearest_points
    geometry_to_bing_tiles geometry_union great_circle_distance greatest hamming_distance
    hmac_md5 hmac_sha1 hmac_sha256 hmac_sha512 hour human_readable_seconds if infinity
    inverse_beta_cdf inverse_normal_cdf is_finite is_infinite is_json_scalar is_nan
    json_array_contains json_array_get json_array_length json_extract json_extract_scalar
    json_format json_parse json_size last_day_of_month least length levenshtein_distance
    line_interpolate_point line_locate_point ln log log10 log2 lower lpad ltrim luhn_check map
    map_concat map_entries map_filter map_from_entries map_keys map_values map_zip_with md5
    millisecond minute mod month multimap_from_entries murmur3 nan ngrams none_match normal_cdf
    normalize now nullif parse_data_size parse_datetime parse_duration pi pow power quarter
    radians rand random reduce regexp_count regexp_extract regexp_extract_all regexp_like
    regexp_position regexp_replace regexp_split regress render repeat replace reverse rgb round
    row rpad rtrim second sequence sha1 sha256 sha512 shuffle sign simplify_geometry sin sinh
    slice soundex split split_part split_to_map split_to_multimap spooky_hash_v2_32
    spooky_hash_v2_64 sqrt starts_with strpos substr substring tan tanh timezone_hour
    timezone_minute to_base to_base32 to_base64 to_base64url to_big_endian_32 to_big_endian_64
    to_char to_date to_encoded_polyline to_geojson_geometry to_geometry to_hex to_ieee754_32
    to_ieee754_64 to_iso8601 to_milliseconds to_spherical_geography to_timestamp to_unixtime
    to_utf8 transform transform_keys transform_values translate trim trim_array truncate try
    typeof upper url_decode url_encode url_extract_fragment url_extract_host
    url_extract_parameter url_extract_path url_extract_port url_extract_protocol
    url_extract_query uuid value_at_quantile values_at_quantiles version week week_of_year
    width_bucket wilson_interval_lower wilson_interval_upper with_timezone word_stem xxhash64
    year year_of_week yow zip zip_with st_area st_asbinary st_astext st_boundary st_buffer
    st_centroid st_contains st_convexhull st_coorddim st_crosses st_difference st_dimension
    st_disjoint st_distance st_endpoint st_envelope st_envelopeaspts st_equals st_exteriorring
    st_geometries st_geometryfromtext st_geometryn st_geometrytype st_geomfrombinary
    st_interiorringn st_interiorrings st_intersection st_intersects st_isclosed st_isempty
    st_isring st_issimple st_isvalid st_length st_linefromtext st_linestring st_multipoint
    st_numgeometries st_numinteriorring st_numpoints st_overlaps st_point st_pointn st_points
    st_polygon st_relate st_startpoint st_symdifference st_touches st_union st_within st_x
    st_xmax st_xmin st_y st_ymax st_ymin""".split()
)
FUNCTIONS = AGGREGATES | WINDOW_ONLY | SCALARS

# Data types of the query language. string and float are DDL's only ("Data types in Amazon Athena").
TYPES = frozenset(
    {
        exp.DataType.Type.BOOLEAN,
        exp.DataType.Type.TINYINT,
        exp.DataType.Type.SMALLINT,
        exp.DataType.Type.INT,
        exp.DataType.Type.BIGINT,
        exp.DataType.Type.FLOAT,
        exp.DataType.Type.DOUBLE,
        exp.DataType.Type.DECIMAL,
        exp.DataType.Type.VARCHAR,
        exp.DataType.Type.CHAR,
        exp.DataType.Type.VARBINARY,
        exp.DataType.Type.DATE,
        exp.DataType.Type.TIME,
        exp.DataType.Type.TIMESTAMP,
        exp.DataType.Type.TIMESTAMPTZ,
        exp.DataType.Type.INTERVAL,
        exp.DataType.Type.JSON,
        exp.DataType.Type.ARRAY,
        exp.DataType.Type.MAP,
        exp.DataType.Type.STRUCT,
        exp.DataType.Type.UUID,
    }
)
NOT_TYPES = frozenset(
    """STRING TEXT FLOAT FLOAT4 FLOAT8 INT2 INT4 INT8 INT64 INT32
    HUGEINT BOOL BLOB BINARY BYTES DATETIME NUMERIC""".split()
)

# Clauses and operators, as nodes of the parsed query.
NODES: frozenset[type[exp.Expr]] = frozenset(
    {
    exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE, exp.From,
    exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset,
    exp.Fetch, exp.LimitOptions, exp.Table, exp.TableAlias, exp.Column, exp.Identifier, exp.Star,
    exp.Alias, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Add, exp.Sub, exp.Mul, exp.Div,
    exp.Mod, exp.Neg, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.Escape, exp.Exists,
    exp.Any, exp.All, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam,
    exp.ColumnDef, exp.Interval, exp.Var, exp.Window, exp.WindowSpec, exp.Anonymous, exp.Distinct,
    exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup, exp.Array, exp.Bracket,
    exp.Lambda, exp.Tuple, exp.Values, exp.Unnest, exp.Lateral, exp.Placeholder, exp.DPipe,
    exp.Extract, exp.Trim, exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.CurrentUser,
    exp.CurrentCatalog, exp.Localtime, exp.Localtimestamp, exp.AtTimeZone, exp.Cube, exp.Rollup,
    exp.GroupingSets, exp.TableSample, exp.Dot, exp.GroupConcat, exp.StrPosition, exp.Substring,
    exp.HexString, exp.ParseJSON,
}
)  # fmt: skip
JOIN_KINDS = frozenset({"", "INNER", "CROSS", "OUTER"})
JOIN_SIDES = frozenset({"", "LEFT", "RIGHT", "FULL"})
LONGEST_QUERY = 262_144  # bytes
