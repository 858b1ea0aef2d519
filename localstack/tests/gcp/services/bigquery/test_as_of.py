"""FOR SYSTEM_TIME AS OF: this stack keeps no past of a table, and says so by name."""

import pytest
from google.api_core.exceptions import GoogleAPICallError

WORDS = "not supported by the offline BigQuery yet: FOR SYSTEM_TIME AS OF"


@pytest.mark.parametrize(
    "sql",
    [
        (
            "SELECT * FROM shop.t FOR SYSTEM_TIME AS OF TIMESTAMP_SUB(CURRENT_TIMESTAMP(), "
            "INTERVAL 1 HOUR)"
        ),
        (
            "SELECT a.k FROM shop.t AS a JOIN shop.t AS b FOR SYSTEM_TIME AS OF "
            "CURRENT_TIMESTAMP() ON a.k = b.k"
        ),
        (
            "WITH before AS (SELECT k FROM shop.t FOR SYSTEM TIME AS OF CURRENT_TIMESTAMP()) "
            "SELECT count(*) FROM before"
        ),
    ],
)
def test_a_tables_past_is_refused_by_name(client, rows, sql):
    client.query_and_wait("CREATE TABLE shop.t AS SELECT 1 AS k")
    with pytest.raises(GoogleAPICallError) as refused:
        rows(sql)
    assert WORDS in str(refused.value)
