"""ModelService, asked by the genuine client over gRPC and over REST."""

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as ai
from google.protobuf import field_mask_pb2

from isthmus_stack.tests.gcp.services.aiplatform.serving_kit import ABORTED, BAD, PARENT, TAKEN, Kit


@pytest.fixture
def kit(vertex):
    return Kit(vertex)


def aliases(kit, name):
    return {
        version.version_id: sorted(version.version_aliases)
        for version in kit.models.list_model_versions(name=name)
    }


def mask(*paths):
    return field_mask_pb2.FieldMask(paths=paths)


def test_versions_are_numbered_and_the_first_is_the_default_one(kit):
    name, number = kit.upload(labels={"digest": "d1"})
    assert number == "1"
    assert kit.upload(parent=name, labels={"digest": "d2"}, aliases=["champion"]) == (name, "2")
    assert aliases(kit, name) == {"1": ["default"], "2": ["champion"]}
    assert kit.models.get_model(name=name).version_id == "1"
    assert kit.models.get_model(name=f"{name}@champion").name == f"{name}@2"
    assert [v.name for v in kit.models.list_model_versions(name=name)] == [f"{name}@1", f"{name}@2"]
    listed = kit.models.list_model_versions(
        request=ai.ListModelVersionsRequest(name=name, filter='labels.digest="d2"')
    )
    assert [version.version_id for version in listed] == ["2"]


def test_an_alias_moves_and_default_stays_with_one_version(kit):
    name, _ = kit.upload()
    kit.upload(parent=name)
    kit.models.merge_version_aliases(name=f"{name}@1", version_aliases=["champion"])
    kit.models.merge_version_aliases(name=f"{name}@2", version_aliases=["champion", "default"])
    assert aliases(kit, name) == {"1": [], "2": ["champion", "default"]}
    with pytest.raises(BAD, match="default"):
        kit.models.merge_version_aliases(name=f"{name}@2", version_aliases=["-default"])
    kit.models.merge_version_aliases(name=f"{name}@2", version_aliases=["-champion"])
    with pytest.raises(exceptions.NotFound):
        kit.models.get_model(name=f"{name}@champion")
    with pytest.raises(BAD, match="alias"):
        kit.models.merge_version_aliases(name=f"{name}@2", version_aliases=["7"])


def test_labels_of_model_and_version_are_answered_as_one_and_changed_apart(kit):
    name, _ = kit.upload(labels={"digest": "d1"})
    kit.models.update_model(
        model=ai.Model(name=name, labels={"owner": "us"}), update_mask=mask("labels")
    )
    changed = kit.models.update_model(
        model=ai.Model(name=f"{name}@1", labels={"approval": "yes"}), update_mask=mask("labels")
    )
    assert dict(changed.labels) == {"owner": "us", "approval": "yes"}
    kit.upload(parent=name)
    assert dict(kit.models.get_model(name=f"{name}@2").labels) == {"owner": "us"}
    assert [
        model.name
        for model in kit.models.list_models(
            request=ai.ListModelsRequest(parent=PARENT, filter="labels.owner:*")
        )
    ] == [name]


def test_one_request_changes_the_model_or_a_version(kit):
    name, _ = kit.upload()
    both = ai.Model(name=name, display_name="other", version_description="v")
    with pytest.raises(BAD):
        kit.models.update_model(model=both, update_mask=mask("display_name", "version_description"))
    with pytest.raises(BAD):
        kit.models.update_model(model=both, update_mask=mask("version_description"))
    with pytest.raises(BAD, match="container_spec"):
        kit.models.update_model(model=both, update_mask=mask("container_spec"))
    before = kit.models.update_model(model=both, update_mask=mask("display_name"))
    assert (before.display_name, before.version_description) == ("other", "")
    kit.models.update_model(
        model=ai.Model(name=f"{name}@1", version_description="v"),
        update_mask=mask("version_description"),
    )
    stale = ai.Model(name=name, display_name="late", etag=before.etag)
    with pytest.raises(ABORTED):
        kit.models.update_model(model=stale, update_mask=mask("display_name"))
    assert kit.models.get_model(name=name).display_name == "other"


def test_models_are_listed_by_filter_in_order_and_in_pages(kit):
    for name in ("b", "a", "c"):
        kit.upload(name, model_id=f"id-{name}")
    request = ai.ListModelsRequest(parent=PARENT, order_by="display_name desc", page_size=2)
    assert [model.display_name for model in kit.models.list_models(request=request)] == [
        "c",
        "b",
        "a",
    ]
    request = ai.ListModelsRequest(
        parent=PARENT, filter='model=id-a OR displayName="b"', order_by="display_name"
    )
    assert [model.display_name for model in kit.models.list_models(request=request)] == ["a", "b"]
    with pytest.raises(BAD, match="artifact_uri"):
        list(
            kit.models.list_models(
                request=ai.ListModelsRequest(parent=PARENT, filter="artifact_uri=x")
            )
        )


def test_the_default_version_and_the_last_one_stay_until_the_model_goes(kit):
    name, _ = kit.upload()
    with pytest.raises(BAD, match="only version"):
        kit.models.delete_model_version(name=f"{name}@1")
    kit.upload(parent=name)
    with pytest.raises(BAD, match="default"):
        kit.models.delete_model_version(name=f"{name}@1")
    kit.models.delete_model_version(name=f"{name}@2").result(timeout=60)
    assert kit.upload(parent=name) == (name, "3")
    kit.models.delete_model(name=name).result(timeout=60)
    with pytest.raises(exceptions.NotFound):
        kit.models.get_model(name=name)


def test_what_the_registry_refuses(kit):
    name, _ = kit.upload(model_id="ranker")
    with pytest.raises(TAKEN):
        kit.upload(model_id="ranker")
    for refused in (
        {"model_id": "1x"},
        {"labels": {"A": "b"}},
        {"aliases": ["x"]},
        {"image": ""},
        {"artifacts": "s3://b/o"},
        {"env": {"AIP_MODE": ""}},
    ):
        with pytest.raises(BAD):
            kit.upload(**refused)
    with pytest.raises(exceptions.NotFound):
        kit.upload(parent=f"{name}-not")
    with pytest.raises(exceptions.NotFound):
        kit.models.get_model(name=f"{name}@9")


def test_an_imported_evaluation_is_its_versions(kit):
    name, _ = kit.upload()
    kit.upload(parent=name)
    asked = ai.ModelEvaluation(
        display_name="nightly", metrics_schema_uri="gs://schema.yaml", metrics={"auRoc": 0.75}
    )
    kept = kit.models.import_model_evaluation(parent=f"{name}@2", model_evaluation=asked)
    assert kept.name.startswith(f"{name}@2/evaluations/")
    assert kit.models.get_model_evaluation(name=kept.name).metrics["auRoc"] == 0.75
    assert [one.name for one in kit.models.list_model_evaluations(parent=f"{name}@2")] == [
        kept.name
    ]
    assert not list(kit.models.list_model_evaluations(parent=name))
    kit.models.delete_model_version(name=f"{name}@2").result(timeout=60)
    with pytest.raises(exceptions.NotFound):
        kit.models.get_model_evaluation(name=kept.name)
    with pytest.raises(exceptions.NotFound):
        kit.models.get_model_evaluation(name=f"{name}@1/evaluations/1")
