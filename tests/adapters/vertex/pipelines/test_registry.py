"""Vertex AI's registry where it is not as on other targets:

UploadModel has no request id, and labels are small.
"""

from datetime import datetime, timedelta

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.vertex import operations
from isthmus.adapters.vertex.session import session_of
from isthmus.errors import Invalid, OutcomeUnknown, Unavailable

UPLOAD = "ModelService.UploadModel"


def register(target, digest):
    uri = f"{target.blobs.root}/models/ranker/{digest}"
    if not list(target.blobs.list(f"{uri}/")):
        target.blobs.put(f"{uri}/manifest.json", b"{}")
    return target.registry.register("ranker", uri=uri, digest=digest, image="isthmus")


def uploads(stack):
    return len([call for call in stack.calls() if call.operation == UPLOAD])


@pytest.mark.parametrize(("kind", "sent"), [("cut-after", 1), ("cut-before", 2)])
def test_an_upload_whose_reply_is_lost_is_found_by_the_next_registration(target, stack, kind, sent):
    stack.fault(kind=kind, operation=UPLOAD)
    with pytest.raises(OutcomeUnknown):
        register(target, "d1")
    other = targets.load(target.profile)  # another process
    assert register(other, "d1").version == 1
    assert uploads(stack) == sent
    assert [version.digest for version in target.registry.versions("ranker")] == ["d1"]
    other.close()


def test_whoever_is_second_with_a_new_model_waits_for_its_first_version(target, stack, monkeypatch):
    """Its upload runs for minutes: the name is taken, and no version is to be seen yet."""
    registry, looks, versions = target.registry, [], target.registry._versions

    def hidden(name):
        looks.append(name)
        return [] if len(looks) < 8 else versions(name)

    other = targets.load(target.profile)
    register(other, "d1")
    other.close()
    monkeypatch.setattr(registry, "_versions", hidden)
    sent = uploads(stack)
    assert register(target, "d2").version == 2
    assert uploads(stack) == sent + 2, "refused once, then one version more"


def test_a_claim_of_a_killed_process_is_over_after_a_while(target):
    target.registry._claim("registry/ranker/d1")
    other = targets.load(target.profile)
    assert other.registry._claim("registry/ranker/d1") is None
    later = target.clock() + timedelta(minutes=3)
    other.clock = lambda: later
    assert register(other, "d1").version == 1
    assert target.state.get("registry/ranker/d1") is None, "and it leaves none"
    other.close()


def test_a_claim_stands_while_its_upload_runs_however_long_that_takes(target):
    """A look at the operation costs 90 seconds here; a claim stands for two minutes."""
    began, looks, standing = target.clock(), [], []
    target.clock = lambda: began + timedelta(seconds=90) * len(looks)

    def slow(call):
        if call.operation == "GetOperation":
            looks.append(call)
            claim = msgspec.json.decode(target.state.get("registry/ranker/d1").value)
            standing.append(datetime.fromisoformat(claim["until"]) - target.clock())
            if len(looks) < 4:
                raise Unavailable("not yet")

    target.calls.listeners.append(slow)
    wait = operations.wait_until_done

    def patient(*args, **more):
        while True:
            try:
                return wait(*args, **more)
            except Unavailable:
                continue

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(operations, "wait_until_done", patient)
        assert register(target, "d1").version == 1
    assert len(standing) == 4
    assert min(standing) > timedelta(0)


def test_a_folder_that_is_not_there_is_refused_in_the_services_words(target):
    with pytest.raises(Invalid, match="There are no files under"):
        target.registry.register(
            "ranker", uri=f"{target.blobs.root}/models/none", digest="d1", image="isthmus"
        )
    assert target.registry.versions("ranker") == ()


def test_an_approval_keeps_the_labels_by_which_a_model_is_found(target):
    register(target, "d1")
    target.registry.set_approval("ranker", 1, "approved", "looked at the report")
    session = session_of(target)
    (version,) = session.models.list_model_versions(name=f"{session.parent}/models/conf-ranker")
    assert dict(version.labels) == {
        "isthmus_project": "conf",
        "isthmus_kind": "model",
        "isthmus_name": "ranker",
        "isthmus_approval": "approved",
    }
    assert version.version_description == "looked at the report"
