"""The starter project from `init` to `destroy`, command by command, as its user sees it."""

import re

import pytest

from isthmus.tests.cli.running import isthmus

pytestmark = pytest.mark.slow

ASK = '{"visitor_id": "v1", "item_id": [1, 2, 3], "slots": 2}'


def lines(text):
    return text.rstrip("\n").split("\n")


def test_the_whole_flow_of_a_new_project(tmp_path):
    assert lines(isthmus(tmp_path, "init", "shop", "--example", "starter").out) == [
        (
            "shop/  16 files and the data. project.yaml is the place to start; SQL in features/, "
            "models in models/."
        ),
        "next   cd shop && isthmus validate",
    ]
    shop = tmp_path / "shop"
    assert lines(isthmus(shop, "validate").out) == [
        "local       ok   2 events  1 objective  1 view (2 features)  1 model  1 endpoint",
        "sagemaker   ok   1 view transpiled for Athena",
        "vertex      ok   1 view transpiled for BigQuery (1 window rewritten)",
        "next   isthmus plan",
    ]
    assert lines(isthmus(shop, "plan").out) == [
        "local   .isthmus/",
        "  + event table    impression, click              apply",
        "  + feature view   item_history                   apply",
        "  . endpoint       home: waits for ranker@champion (train, then deploy)",
        (
            "cost    0.00 USD/h   (sagemaker 0.12 once deployed: 1 x ml.m5.large, price "
            "table of 2026-07)"
            "   (vertex 0.11 once deployed: 1 x n1-standard-2 without the online store's "
            "nodes, price table of 2026-06)"
        ),
        "next   isthmus apply",
    ]
    assert isthmus(shop, "plan", "--detailed-exitcode", ok=False).code == 2
    made = isthmus(shop, "apply").out
    assert re.fullmatch(
        r"local   \+ 2 event tables  \+ 1 feature view   \d+\.\d s\nnext   isthmus ingest\n", made
    )
    assert isthmus(shop, "plan", "--detailed-exitcode").code == 0, (
        "what waits for training is no change"
    )
    try:
        _data(shop)
        _model(shop)
        _endpoint(shop)
    finally:
        gone = isthmus(shop, "destroy", "--yes")
    assert gone.out.startswith("local   - endpoint home  - 1 online view")
    assert "keeps model ranker, runs/, reports/, raw/ and your data/" in gone.out
    assert lines(isthmus(shop, "runs", "list").out)[1].startswith("r1 "), "runs stay"
    assert isthmus(shop, "destroy", "--yes").out.startswith("local   nothing here")


def _data(shop):
    stored = [re.sub(r"   \d+\.\d s$", "", line) for line in lines(isthmus(shop, "ingest").out)]
    assert stored == [
        "impression   420 read   420 stored   0 already there   0 quarantined",
        "click         80 read    80 stored   0 already there   0 quarantined",
        "next   isthmus materialize",
    ]
    again = lines(isthmus(shop, "ingest").out)
    assert again[0].startswith(
        "impression   420 read   0 stored   420 already there   0 quarantined"
    )
    assert lines(isthmus(shop, "materialize").out) == [
        (
            "first, whether they see later data (at most 7 computations of each, 22 where a row "
            "is to blame): item_history"
        ),
        "item_history       420 rows       10 keys online   known up to 2026-01-08 00:00",
        (
            "item_history   3 moments, 190 rows that became known within a day before them: none "
            "saw later data"
        ),
        "skew   10 keys served and recomputed: 0 differ",
        "next   isthmus train models/history.yaml",
    ]
    assert lines(isthmus(shop, "features", "get", "item_history", 1, 99).out)[0].split()[:3] == [
        "key",
        "feature_timestamp",
        "age_s",
    ]
    assert (
        isthmus(shop, "features", "skew").out == "skew   10 keys served and recomputed: 0 differ\n"
    )


def _model(shop):
    said = lines(isthmus(shop, "train", "models/history.yaml").out)
    assert said[0].startswith("local   run r1   ranker / history   ")
    assert said[1].startswith(
        "  rows          420 impressions, 80 clicks (19.05 %), 1-7 Jan 2026; 1 feature point "
        "in time"
    )
    assert said[-2].startswith(
        "registered ranker@1 (champion)   log .isthmus/runs/r1/log.txt   report "
        ".isthmus/runs/r1/report.html"
    )
    assert said[-1] == "next   isthmus deploy home", "the endpoint's name, and not the model's"
    assert (shop / ".isthmus/runs/r1/report.html").is_file()
    assert (shop / ".isthmus/runs/r1/log.txt").is_file()
    assert (
        lines(isthmus(shop, "plan").out)[1]
        == "  + endpoint       home (champion ranker@1)       deploy"
    )


def _endpoint(shop):
    deployed = lines(isthmus(shop, "deploy", "home").out)
    assert re.fullmatch(
        r"local   home   champion ranker@1  100 %   ready in \d+\.\d s   http://127\.0\.0\.1:\d+",
        deployed[0],
    )
    assert deployed[1:] == [
        "  smoke  20 of 20 requests answered; split read back 100",
        "next   isthmus endpoints invoke home '{...}'",
    ]
    answer = isthmus(shop, "endpoints", "invoke", "home", ASK).out
    assert answer.startswith('{"items": [')
    assert '"variant": "champion", "version": "ranker@1", "rules": [], "request_id": "q-' in answer
    assert isthmus(shop, "traffic", "home", "champion=100").out.startswith(
        "local   home   champion 100\n"
    )
    assert isthmus(shop, "traffic", "home").out == "local   home   champion 100\n"
    assert isthmus(shop, "traffic", "home", "--json").json["percents"] == {"champion": "100"}
    assert "ready   champion ranker@1 100 %" in isthmus(shop, "status").out
    assert lines(isthmus(shop, "plan").out) == [
        "local   .isthmus/",
        "  = 6 in place: nothing to do",
        (
            "cost    0.00 USD/h   (sagemaker 0.12 once deployed: 1 x ml.m5.large, price "
            "table of 2026-07)"
            "   (vertex 0.11 once deployed: 1 x n1-standard-2 without the online store's "
            "nodes, price table of 2026-06)"
        ),
    ]
