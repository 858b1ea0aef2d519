"""The section `predictions:`: tables of rows that a registered model scores in batches."""

from __future__ import annotations

import msgspec


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """`nightly: {model: ranker@champion, rows: predictions/nightly.sql, into: ranking_nightly}`."""

    name: str
    model: str
    ref: str  # an alias or a version number, after the @
    path: str  # of the file with the SQL, from the project's folder
    sql: str  # a SELECT: the keys of the model's views, and its other columns
    into: str  # the warehouse's table, which gains a batch each time
    shards: int = 1  # how many parts are scored side by side
