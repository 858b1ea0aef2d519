"""`isthmus demo --target sagemaker`: the whole example on AWS's own SDK, offline, with the laptop's figures to the last row."""

import pytest

from isthmus.tests.cli.running import create, isthmus

pytestmark = pytest.mark.slow

REQUESTS = "60"  # the split itself is judged elsewhere, with more


def test_the_demo_on_sagemaker_prints_the_figures_of_the_laptop(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    folder = create(tmp_path / "openbandit", example="openbandit")
    here = isthmus(folder, "demo", "--requests", REQUESTS, "--json").json
    there = isthmus(folder, "demo", "--requests", REQUESTS, "--json", "--target", "sagemaker").json
    assert (here["target"], there["target"]) == ("local", "sagemaker")
    for run in ("champion", "challenger"):
        assert there[run]["data"]["digest"] == here[run]["data"]["digest"]  # canonical_hash of the training set
        assert rounded(there[run]["evaluation"]) == rounded(here[run]["evaluation"])
        assert (there[run]["gate"], there[run]["version"]) == (here[run]["gate"], here[run]["version"])
    for part in ("first", "last", "replay", "fixed", "random_ctr"):
        assert rounded(there[part]) == rounded(here[part]), part
    assert rounded(_without_page(there["leak"])) == rounded(_without_page(here["leak"]))
    assert there["skew"] == here["skew"]
    assert [_counts(report) for report in there["ingested"]] == [_counts(report) for report in here["ingested"]]
    assert there["served"]["errors"] == 0
    assert sum(there["served"]["requests"].values()) == int(REQUESTS)


def rounded(value):
    """To ten figures: the engines give the same rows in another order, and sums of floats depend on it."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _without_page(leak):
    return {name: value for name, value in leak.items() if name != "page"}


def _counts(report):
    return {name: report[name] for name in ("event", "read", "stored", "already_there", "quarantined")}
