"""Vertex AI Experiments with Google's own SDK, led by the environment alone."""

import json

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from ....conftest import PARENT

RUNS = """
import json
from google.cloud import aiplatform
for transport in ("grpc", "rest"):
    experiment = f"ctr-{transport}"
    aiplatform.init(project="shop-project", location="us-central1", experiment=experiment, api_transport=transport)
    for name, rate in (("first", 0.1), ("second", 0.2)):
        with aiplatform.start_run(name):
            aiplatform.log_params({"rate": rate, "kind": "logistic"})
            aiplatform.log_metrics({"auc": 0.5 + rate})
            for step in range(1, 4):
                aiplatform.log_time_series_metrics({"loss": 1.0 / step}, step=step)
            with aiplatform.start_execution(schema_title="system.ContainerExecution", display_name="fit") as execution:
                data = aiplatform.Artifact.create(schema_title="system.Dataset", display_name="rows", uri="gs://shop/rows")
                execution.assign_input_artifacts([data])
                execution.assign_output_artifacts([aiplatform.Artifact.create(schema_title="system.Model", uri=f"gs://shop/{name}")])
    frame = aiplatform.get_experiment_df(experiment)
    run = aiplatform.ExperimentRun("second", experiment=experiment)
    shown = {
        "rows": frame.sort_values("run_name").to_dict("records"),
        "params": run.get_params(), "metrics": run.get_metrics(), "state": str(run.get_state()),
        "loss": run.get_time_series_data_frame()["loss"].tolist(),
        "runs": [known.name for known in aiplatform.ExperimentRun.list(experiment=experiment)],
        "inputs": [len(execution.get_input_artifacts()) for execution in run.get_executions()],
    }
    run.delete(delete_backing_tensorboard_run=True)
    shown["left"] = [known.name for known in aiplatform.ExperimentRun.list(experiment=experiment)]
    aiplatform.Experiment(experiment).delete(delete_backing_tensorboard_runs=True)
    shown["experiment"] = aiplatform.Experiment.get(experiment)
    print("SHOWN", json.dumps(shown, default=str))
"""


@pytest.mark.timeout(600)  # clients of two transports are imported in processes of their own
def test_runs_keep_what_is_logged_over_both_transports(gcp):
    lines = [line for line in gcp.run(RUNS).splitlines() if line.startswith("SHOWN ")]
    assert len(lines) == 2
    for line in lines:
        shown = json.loads(line.removeprefix("SHOWN "))
        assert [row["run_name"] for row in shown["rows"]] == ["first", "second"]
        assert [row["metric.auc"] for row in shown["rows"]] == [0.6, 0.7]
        assert [row["param.rate"] for row in shown["rows"]] == [0.1, 0.2]
        assert [row["time_series_metric.loss"] for row in shown["rows"]] == pytest.approx(
            [1 / 3, 1 / 3]
        )
        assert (shown["params"], shown["metrics"], shown["state"]) == (
            {"rate": 0.2, "kind": "logistic"},
            {"auc": 0.7},
            "COMPLETE",
        )
        assert shown["loss"] == pytest.approx([1.0, 0.5, 1 / 3])
        assert sorted(shown["runs"]) == ["first", "second"]
        assert shown["inputs"] == [1]
        assert (shown["left"], shown["experiment"]) == (["first"], None)


def test_lineage_is_followed_from_an_artifact_through_executions(vertex):
    client = vertex(v1.MetadataServiceClient)
    store = client.create_metadata_store(parent=PARENT, metadata_store_id="default").result().name
    rows, model = (
        client.create_artifact(
            parent=store, artifact_id=name, artifact={"uri": f"gs://shop/{name}"}
        )
        for name in ("rows", "model")
    )
    fit = client.create_execution(parent=store, execution_id="fit")
    events = [
        {"artifact": rows.name, "type_": "INPUT"},
        {"artifact": model.name, "type_": "OUTPUT"},
    ]
    client.add_execution_events(execution=fit.name, events=events)
    graph = client.query_artifact_lineage_subgraph(request={"artifact": rows.name, "max_hops": 1})
    assert {node.name for node in graph.artifacts} == {rows.name, model.name}
    assert [node.name for node in graph.executions] == [fit.name]
    assert len(graph.events) == 2
    context = client.create_context(parent=store, context_id="run")
    client.add_context_artifacts_and_executions(context=context.name, executions=[fit.name])
    members = client.list_executions(
        request={"parent": store, "filter": f'in_context("{context.name}")'}
    )
    assert [node.name for node in members] == [fit.name]
    assert [
        node.name
        for node in client.list_artifacts(
            request={"parent": store, "filter": 'uri="gs://shop/model"'}
        )
    ] == [model.name]
    client.delete_artifact(name=model.name).result()
    assert len(client.query_execution_inputs_and_outputs(execution=fit.name).events) == 1


def test_a_node_is_there_once_and_changes_by_its_mask(vertex):
    client = vertex(v1.MetadataServiceClient)
    store = client.create_metadata_store(parent=PARENT, metadata_store_id="default").result().name
    context = client.create_context(
        parent=store, context_id="run", context={"display_name": "a", "labels": {"team": "a"}}
    )
    client.update_context(
        context={"name": context.name, "display_name": "b"}, update_mask={"paths": ["display_name"]}
    )
    read = client.get_context(name=context.name)
    assert (read.display_name, dict(read.labels)) == ("b", {"team": "a"})
    assert read.etag != context.etag
    with pytest.raises(exceptions.GoogleAPICallError, match="already exists"):
        client.create_context(parent=store, context_id="run")
    with pytest.raises(exceptions.NotFound):
        client.get_context(name=f"{store}/contexts/other")
