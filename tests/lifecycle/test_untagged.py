"""status --untagged: what bears the project's name on a target and lost its tags."""

import pytest

from isthmus.adapters.vertex.session import session_of
from isthmus.lifecycle.resources.status import status
from isthmus.tests.lifecycle.deployed import project

__all__ = ["project"]
pytestmark = pytest.mark.slow


def strays(project):
    return {(s.kind, s.name) for s in status(project, untagged=True).untagged.resources}


def without_tags(project):
    """Take the tags off the endpoint and off a stream, as somebody might by hand."""
    if project.target.name == "sagemaker":
        session = project.target.native
        sagemaker, kinesis = session.client("sagemaker"), session.client("kinesis")
        arn = sagemaker.describe_endpoint(EndpointName="conf-ranker")["EndpointArn"]
        keys = [f"isthmus:{key}" for key in ("project", "kind", "name")]
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=keys)
        kinesis.remove_tags_from_stream(StreamName="conf-exposures", TagKeys=keys[:1])
        return {("endpoint", "conf-ranker"), ("stream", "conf-exposures")}
    session = session_of(project.target)
    path = f"{session.parent}/endpoints/conf-ranker"
    session.endpoints.update_endpoint(
        endpoint={"name": path, "labels": {}}, update_mask={"paths": ["labels"]}
    )
    return {("endpoint", "conf-ranker")}


def test_what_lost_its_tags_is_named_with_the_tags_that_it_lacks(project):
    assert strays(project) == set()
    looked = status(project, untagged=True)
    assert "  untagged      nothing\n  not searched  " in str(looked)
    assert status(project).untagged is None
    if project.target.name == "local":
        assert looked.untagged.not_searched.endswith("what is made there is in its own list")
        return
    lost = without_tags(project)
    assert strays(project) == lost
    text = str(status(project, untagged=True))
    for kind, name in lost:
        assert f"{kind} {name} lacks isthmus" in text
