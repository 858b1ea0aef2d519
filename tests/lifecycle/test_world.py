"""plan, apply, destroy, status: what is declared beside what is there."""

import re
import shutil
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import msgspec
import pytest

import isthmus as im
from isthmus.endpoints.gateway.log.streams import EXPOSURES
from isthmus.errors import ProjectError, Refused
from isthmus.lifecycle.checks.doctor import doctor
from isthmus.lifecycle.resources.status import status
from isthmus.target import Adapter, Packages
from isthmus.tests.cli.running import edit, isthmus, tree

VIEW = "features/item_history.sql"


def opened(folder):
    return im.open(folder / "project.yaml")


def items(folder):
    with opened(folder) as project:
        return {
            (item.kind, item.name): (item.action, item.detail) for item in im.plan(project).items
        }


def test_a_plan_only_reads(new):
    isthmus(new, "plan")
    before = tree(new)
    isthmus(new, "plan")
    isthmus(new, "status")
    assert tree(new) == before


def test_a_plan_turns_from_make_to_in_place(new):
    assert {action for (kind, _), (action, _) in items(new).items() if kind != "endpoint"} == {"+"}
    with opened(new) as project:
        assert im.apply(project).made == {"event table": 2, "feature view": 1}
    assert {action for (kind, _), (action, _) in items(new).items() if kind != "endpoint"} == {"="}
    with opened(new) as project:
        assert im.apply(project).made == {"event table": 0, "feature view": 0}, (
            "again changes nothing"
        )


def test_a_new_attribute_is_added_and_a_gone_one_refused(shop):
    edit(
        shop / "project.yaml",
        "position: {type: int, min: 1}",
        "position: {type: int, min: 1}\n      device: {type: string, required: false}",
    )
    assert items(shop)["event table", "impression"] == ("~", "(adds device)")
    with opened(shop) as project:
        assert im.apply(project).made["event table"] == 1
    assert items(shop)["event table", "impression"] == ("=", "")
    edit(shop / "project.yaml", "      device: {type: string, required: false}\n", "")
    assert items(shop)["event table", "impression"] == (
        "!",
        ": device is stored there and no longer declared",
    )
    before = tree(shop)
    with (
        opened(shop) as project,
        pytest.raises(Refused, match="no longer declared; nothing was changed"),
    ):
        im.apply(project)
    assert tree(shop) == before


def test_what_gateways_log_is_made_where_an_experiment_or_an_event_needs_it_and_where_exposures_are_there(
    new,
):
    """Else by `deploy`: until then nothing logs."""
    assert not [name for kind, name in items(new) if kind == "event stream"]
    with opened(new) as project:
        im.apply(project)
        assert project.target.events.observe("exposures") is None
        before = msgspec.structs.replace(
            EXPOSURES, columns=tuple(c for c in EXPOSURES.columns if c.name != "config")
        )
        project.target.events.apply(before)
    assert items(new)["event stream", "exposures"] == ("~", "(adds config)"), (
        "deployed by an earlier version"
    )
    assert items(new)["event stream", "rankings"] == ("+", "")
    with opened(new) as project:
        assert im.apply(project).made["event stream"] == 2
    edit(
        new / "project.yaml",
        "position: {type: int, min: 1}",
        "position: {type: int, min: 1}\n      exposure_id: {type: string, required: false}",
    )
    with opened(new) as project:
        im.apply(project)
        assert not project.target.warehouse.query(
            "SELECT unit FROM impression_exposed", {}
        ).num_rows
        project.target.inventory.delete(
            next(
                r
                for r in project.target.inventory.list(project.spec.name)
                if r.name == "impression_exposed"
            )
        )
    assert items(new)["event table", "impression"] == (
        "~",
        "(half-made: lacks its view impression_exposed)",
    )
    with opened(new) as project:
        im.apply(project)
        assert {("event stream", "exposures", 0), ("event stream", "rankings", 0)} <= {
            (t.kind, t.name, t.rows) for t in status(project).tables
        }
        gone = im.destroy(project)
        assert {"exposures", "rankings", "impression_exposed"} <= {
            resource.name for resource in gone.resources
        }
        assert project.target.events.observe("rankings") is None


def test_an_attribute_of_another_type_is_refused(shop):
    edit(shop / "project.yaml", "position: {type: int, min: 1}", "position: {type: string}")
    assert items(shop)["event table", "impression"] == (
        "!",
        ": position is int64 there and string here",
    )
    said = isthmus(shop, "apply", ok=False)
    assert said.code == 1
    assert said.err.startswith(
        "error  event table impression: position is int64 there and string here; nothing was "
        "changed\n"
    )


def test_a_view_whose_sql_changed_is_refused_with_the_way_on(shop):
    sql = (shop / VIEW).read_text()
    (shop / VIEW).write_text(sql + "\n-- a comment\n")
    assert items(shop)["feature view", "item_history"] == ("=", ""), "a comment changes nothing"
    (shop / VIEW).write_text(sql.replace("INTERVAL 7 DAY", "INTERVAL 6 DAY"))
    assert (shop / VIEW).read_text() != sql
    assert items(shop)["feature view", "item_history"][0] == "!"
    planned = isthmus(shop, "plan")
    assert (
        "  ! feature view   item_history: its SQL changed; a changed view is a new one, "
        "item_history_v2\n" in planned.out
    )
    assert "next" not in planned.out
    assert isthmus(shop, "plan", "--detailed-exitcode", ok=False).code == 2
    before = tree(shop)
    said = isthmus(shop, "apply", ok=False)
    assert said.code == 1
    assert "declare item_history_v2 with features/item_history_v2.sql" in said.err
    assert tree(shop) == before
    (shop / VIEW).write_text(sql)
    (shop / "features/item_history_v2.sql").write_text(
        sql.replace("INTERVAL 7 DAY", "INTERVAL 6 DAY").replace("_7d", "_6d")
    )
    edit(
        shop / "project.yaml",
        "item_history: {entity: item, ttl: 7d}",
        "item_history: {entity: item, ttl: 7d}\n  item_history_v2: {entity: item}",
    )
    with opened(shop) as project:
        assert im.apply(project).made["feature view"] == 1
        reports = {report.view: report.rows for report in im.materialize(project)}
    assert reports == {"item_history": 0, "item_history_v2": 420}, "the way on works"


def test_a_plan_of_a_wrong_project_says_what_validate_says(new):
    edit(new / VIEW, "FROM ctr", "FROM ctrr")
    with opened(new) as project, pytest.raises(ProjectError) as error:
        im.plan(project)
    assert error.value.problems == im.validate(new / "project.yaml").errors


def test_destroy_and_begin_again_gives_the_same(shop):
    with opened(shop) as project:
        before = [(table.name, table.rows, table.known_until) for table in status(project).tables]
        gone = im.destroy(project)
        assert {resource.kind for resource in gone.resources} == {
            "online_view",
            "stream",
            "view",
            "table",
        }
        assert [(table.made, table.rows) for table in status(project).tables] == [(False, None)] * 3
        assert list(project.target.inventory.list("shop")) == []
        assert im.destroy(project).resources == (), "again is success"
    assert not [
        name
        for name in tree(shop)
        if name.startswith(".isthmus/warehouse/") and name.endswith(".parquet")
    ]
    assert [name for name in tree(shop) if name.startswith(".isthmus/raw/")], "raw data stays"
    with opened(shop) as project:
        im.apply(project)
        assert [report.stored for report in im.ingest(project)] == [420, 80]
        assert [report.rows for report in im.materialize(project)] == [420]
        assert [
            (table.name, table.rows, table.known_until) for table in status(project).tables
        ] == before


def test_what_is_no_longer_declared_is_told_and_kept(served):
    text = (served / "project.yaml").read_text()
    (served / "project.yaml").write_text(text[: text.index("endpoints:")])
    try:
        assert "  ? home: no longer declared; apply never deletes\n" in isthmus(served, "plan").out
        isthmus(served, "apply")
    finally:
        (served / "project.yaml").write_text(text)
    assert "ready" in isthmus(served, "endpoints", "list").out


def test_status_says_what_is_not_made_yet(new):
    said = isthmus(new, "status").out
    assert said.count("not made yet (isthmus apply)") == 3
    assert "not there (isthmus deploy home)" in said


def test_a_deep_doctor_names_a_batch_that_was_deleted(shop):
    whole = isthmus(shop, "doctor", "--deep").out
    assert re.search(r"stored +ok +\d+ batches, 920 rows: as they were written", whole)
    [batch] = (shop / ".isthmus" / "warehouse" / "item_history").iterdir()
    shutil.rmtree(batch)
    said = isthmus(shop, "doctor", "--deep", ok=False)
    assert said.code == 1
    assert f"damage        not ready   {batch} is gone, with 420 rows\n" in said.out
    assert (
        "1 damaged or lost; restore it from a copy, or remove its batch's folder and run the "
        "step that wrote it again" in said.out
    )


def test_a_changing_verb_sweeps_what_a_killed_writer_left(shop):
    left = shop / ".isthmus" / "models" / ".tmp-4194304-half"
    left.mkdir(parents=True)
    isthmus(shop, "status")
    assert left.exists(), "a reading verb changes nothing"
    isthmus(shop, "ingest", "--dry-run")
    assert left.exists()
    isthmus(shop, "ingest")
    assert not left.exists()


def test_doctor_finds_this_machine_well():
    findings = {finding.name.split()[0]: finding for finding in doctor()}
    assert findings["python"].ok
    assert findings["local"].ok
    assert "wrote and read back a table" in findings["local"].detail
    assert {name for name, finding in findings.items() if finding.required} == {"python", "local"}
    assert {"sagemaker", "vertex"} <= set(findings)


def test_doctor_says_of_every_installed_adapter_whether_it_can_be_used(monkeypatch):
    def lake(**more):
        return Adapter(
            name="lake", title="Lake", capabilities={}, ports={"blobs": "lake:Blobs"}, **more
        )

    points = [
        EntryPoint(name=name, value=f"{name}:ADAPTER", group="isthmus.adapters")
        for name in ("lake", "no_such_package")
    ]
    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda *, group: points if group == "isthmus.adapters" else [],
    )
    monkeypatch.setitem(sys.modules, "lake", SimpleNamespace(ADAPTER=lake()))
    findings = {finding.name: finding for finding in doctor()}
    assert (findings["lake"].ok, findings["lake"].detail) == (
        True,
        "its packages are here; credentials are checked by `plan`",
    )
    assert (findings["no_such_package"].ok, findings["no_such_package"].detail) == (
        False,
        "install what brings no_such_package",
    )
    assert "sagemaker" not in findings
    monkeypatch.setitem(
        sys.modules,
        "lake",
        SimpleNamespace(
            ADAPTER=lake(needs=Packages(modules=("no_such_sdk",), install="lakehouse"))
        ),
    )
    findings = {finding.name: finding for finding in doctor()}
    assert (findings["lake"].ok, findings["lake"].detail) == (False, 'pip install "lakehouse"')
