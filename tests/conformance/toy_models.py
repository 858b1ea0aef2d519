"""Models for the suites that need one served: registered through the ports, as a project's own are."""

from __future__ import annotations

import importlib.util
import sys
import time
from datetime import timedelta

import pyarrow as pa

from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.pipelines.models import predictor, trainers
from isthmus.project.specs.description import Feature, Model, Transform
from isthmus.storage import wait

SOURCE = '''
import time


class Toy:
    """Answers `value`, `blend` and what the row asks for: an error, a number that is not finite, a pause."""

    def __init__(self, value, break_on_load=False):
        if break_on_load:
            raise RuntimeError("this model does not want to be loaded")
        self.value = value
        self.break_on_load = break_on_load

    def predict(self, rows, *, blend=0.0, scale=1):
        if any(row.get("fail") for row in rows):
            raise KeyError("item_category")
        if any(row.get("short") for row in rows):
            return [self.value]
        time.sleep(max(row.get("sleep") or 0 for row in rows))
        return [float("nan") if row.get("nan") else scale * (self.value + blend) + (row.get("x") or 0) for row in rows]
'''
FEATURES = (Feature(view=None, name="x"), Feature(view=None, name="y"))


def toy_class(folder):
    """The class, from a module of its own in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "toy_ranker.py"
    if not file.exists():
        file.write_text(SOURCE)
    found = importlib.util.spec_from_file_location("toy_ranker", file)
    module = importlib.util.module_from_spec(found)
    sys.modules["toy_ranker"] = module
    found.loader.exec_module(module)
    return module.Toy


def model_folder(folder, value=1.0, *, model="ranker", breaks=False):
    """A saved model; with `breaks` it cannot be loaded again."""
    toy = toy_class(folder.parent / "code")(value)
    described = Model(
        name="toy",
        path="models/toy.yaml",
        model=model,
        objective="ctr",
        features=FEATURES,
        trainer="toy_ranker.toy",
    )
    digest = predictor.save(toy, folder, model=described, types={"x": "float64", "y": "string"})
    if breaks:  # save() would not let such a model through: its attributes are broken afterwards
        (folder / "attributes.json").write_text('{"value": 1.0, "break_on_load": true}')
    return digest


def register(target, folder, value=1.0, *, model="ranker", breaks=False):
    """A version in the target's registry, its folder in the target's blobs."""
    place = folder / f"{model}-{value}-{breaks}"
    digest = model_folder(place, value, model=model, breaks=breaks)
    uri = f"{target.blobs.root}/models/{model}/{digest}{'-broken' if breaks else ''}"
    target.blobs.upload(place, uri)
    return target.registry.register(
        model, uri=uri, digest=digest + ("b" if breaks else ""), image="isthmus"
    )


def register_from_a_file(target, folder, trainer="isthmus.logistic"):
    """A version of a model that a file alone describes, with transforms and a built-in trainer;
    and its predictor, loaded here.
    """
    described = Model(
        name="from_a_file",
        path="models/from_a_file.yaml",
        model="ranker",
        objective="ctr",
        features=(Feature(view=None, name="shown"), Feature(view=None, name="kind")),
        trainer=trainer,
        parameters={"rows_in_leaf": 1} if trainer == "isthmus.boosting" else {},
        transforms=(
            Transform(kind="bucketize", name="bucket", inputs=("shown",), at=(10.0, 20.0)),
            Transform(kind="cross", name="pair", inputs=("kind", "bucket"), into=16),
            Transform(kind="log", name="log_shown", inputs=("shown",)),
        ),
        listed=("log_shown", "pair", "kind"),
    )
    rows = [
        {"shown": n % 31, "kind": ("a", "b", None)[n % 3], "outcome": n * n % 7 % 2}
        for n in range(200)
    ]
    fitted = trainers.fit(
        trainers.find(described, folder), described, pa.Table.from_pylist(rows), folder
    )
    place = folder / trainer
    types = {"shown": "int64", "kind": "string"}
    digest = predictor.save(fitted, place, model=described, types=types)
    uri = f"{target.blobs.root}/models/ranker/{digest}"
    target.blobs.upload(place, uri)
    version = target.registry.register("ranker", uri=uri, digest=digest, image="isthmus")
    return version, predictor.load(place, digest=digest).predictor


def variant(version, name, **fields):
    return VariantSpec(name=name, model=version.model, version=version.version, **fields)


def endpoint(*variants, name="ranker", routing="weighted"):
    return EndpointSpec(name=name, variants=variants, routing=routing)


def settled(target, name="ranker", *, within=120):
    """Observe until the endpoint is ready or has failed."""
    return wait(
        lambda: target.endpoints.observe(name),
        lambda state: state is not None and state.phase in ("ready", "failed"),
        deadline=timedelta(seconds=within),
    )


def until(condition, *, within=120, what="the condition"):
    """Poll another process; its effect is not ours to time."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come true in {within} s"
        time.sleep(0.02)
    return found


def remove_endpoints(target):
    for resource in list(target.inventory.list(target.profile.project)):
        if resource.kind == "endpoint":
            target.inventory.delete(resource)
