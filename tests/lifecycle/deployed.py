"""A deployed endpoint on each target, with a request that its metrics have counted."""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

import isthmus
from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.lifecycle.resources.guard import guard
from isthmus.pipelines.models import predictor
from isthmus.project.load import load
from isthmus.tests.conformance import places
from isthmus.tests.conformance.toy_models import remove_endpoints, toy_class
from isthmus.tests.endpoints import mini

DOCUMENTS = Path(__file__).parents[1] / "documents"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FILES = {
    "project.yaml": """
name: conf
entities:
  item: {key: item_id, type: int}
events:
  impression:
    owner: a@example.com
    attributes:
      item_id: {type: int}
      x:       {type: float}
  click:
    owner: a@example.com
    attributes:
      impression_id: {type: string}
      item_id:       {type: int}
objectives:
  ctr: {rate: click / impression, within: 30m, goal: maximise}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    variants:
      champion:   {model: ranker@champion,   traffic: 90}
      challenger: {model: ranker@challenger, traffic: 10}
""",
    "models/toy.yaml": """
model: ranker
alias: champion
objective: ctr
features: [x]
serve_as: {x: 1.0}
trainer: isthmus.logistic
""",
    "models/other.yaml": """
model: ranker
alias: challenger
objective: ctr
features: [x]
serve_as: {x: 1.0}
trainer: isthmus.logistic
""",
    "profiles.yaml": "targets: {sagemaker: {}, vertex: {}}\n",
}


def adapters():
    """The adapters whose packages, and those of their offline stacks, are installed."""
    yield "local"
    if find_spec("boto3") and find_spec("moto"):
        yield "sagemaker"
    if find_spec("google") and find_spec("grpc"):
        yield "vertex"


@pytest.fixture(params=list(adapters()))
def project(request, tmp_path):
    """A deployed endpoint that has had a request, which the target's metrics have counted."""
    mini.write(tmp_path / "shop", FILES)
    profile = places.fresh(request.param, tmp_path / "shop" / ".isthmus")
    target = targets.load(profile)
    with Project(load(tmp_path / "shop"), target) as opened:
        isthmus.apply(opened)
        for value, model in enumerate(opened.spec.models.values()):
            registered(opened, tmp_path, model, float(value))
        isthmus.deploy(opened, "ranker")
        asked(opened)
        yield opened
        remove_endpoints(target)


def registered(project, folder, model, value):
    """A version of a model that answers `value`, under the model's alias."""
    place, target = folder / f"made-{value}", project.target
    digest = predictor.save(
        toy_class(folder / "code")(value), place, model=model, types={"x": "float64"}
    )
    uri = f"{target.blobs.root}/models/ranker/{digest}"
    target.blobs.upload(place, uri)
    version = target.registry.register("ranker", uri=uri, digest=digest, image="isthmus")
    target.registry.set_alias("ranker", model.alias, version.version)
    return version


def asked(project):
    """Send the endpoint a request now."""
    answer = project.target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    assert len(answer.predictions) == 1


def later(project, hours):
    """Move the target's clock on by so many hours from now."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    project.target.clock = lambda: moment


def ranker(project):
    (line,) = [line for line in guard(project).lines if line.name == "ranker"]
    return line


def percents(project):
    return {v.name: v.percent for v in project.target.endpoints.observe("ranker").variants}


def versions(project):
    return {v.name: v.version for v in project.target.endpoints.observe("ranker").variants}
