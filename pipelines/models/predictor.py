"""Save and load predictors, as JSON and source code and never as a pickle.

A predictor is an object with `predict(rows: list[dict]) -> list`, and, if it likes,
`predict_table(table) -> array`. What one call may set beside its rows is keyword-only:
`predict(rows, *, blend=0.5)` (call_parameters.py). An extractor, which has `extract(rows)` instead
(pipelines/extraction), is kept in the same way.

A model's folder:

    model.json        the manifest: what the model is, what it reads, its digest
    attributes.json   the predictor's attributes, given back to __init__; absent when the class
                      has save(folder) and load(folder)
    files/            what the class's own save(folder) wrote
    transforms.json   what is computed from the features before `predict`; absent without
                      transforms (pipelines/transforms)
    code/             the class and the top-level statements that it needs, cut out of the
                      trainer's module
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import itertools
import json
import math
import os
import shutil
import site
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Invalid, NotFound
from ...project.specs.description import Model
from ..transforms.transformed import Transformed, inner, with_transforms
from . import call_parameters, code_slice
from .call_parameters import CallParameter

MANIFEST = "model.json"
_BUILTIN = "isthmus.pipelines.builtin."  # a checkout's, too: the version is in the manifest


@runtime_checkable
class Predictor(Protocol):
    """An object that predicts rows.

    It may also have `predict_table(table: pyarrow.Table) -> array`: the same predictions by
    columns, for evaluation, at a fraction of the memory and time. Keyword-only parameters of
    `predict` may be set by each call; `predict_table` is called without any.
    """

    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Return one prediction for each row of features, in order."""
        ...


class ModelFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One input column of `predict`.

    `key` is the entity's key by which the gateway finds the view's row; an attribute has neither.
    """

    name: str
    view: str | None = None
    key: str | None = None
    type: Literal["bool", "int64", "float64", "string", "timestamp"] | None = None


class ModelManifest(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The document `model.json` of a model's folder.

    `digest` covers everything else in the folder but `versions` and `schema`: the same model has
    the same digest.
    """

    model: str
    configuration: str
    predictor: str  # the class
    module: str  # where it is, below code/ or installed
    kept: Literal["json", "files"]
    code: Literal["slice", "module", "installed"]
    whole_because: str | None = None  # why the module could not be cut
    objective: str = ""
    features: tuple[ModelFeature, ...] = ()
    serve_as: dict[str, Any] = {}
    trainer: str = ""
    parameters: dict[str, Any] = {}  # of the trainer
    files: dict[str, str] = {}  # sha256 by path
    digest: str = ""
    versions: dict[str, str] = {}  # python and isthmus, when it was saved
    predict_parameters: dict[str, CallParameter] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # absent without any: the digest is as it was before

    @property
    def accepted(self) -> Mapping[str, CallParameter]:
        """Return the parameters that a call of `predict` may set, by name."""
        return self.predict_parameters or {}


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    predictor: Predictor
    manifest: ModelManifest


def save(
    predictor: Predictor,
    folder: Path,
    *,
    model: Model,
    types: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> str:
    """Write a trained predictor as a model folder, replacing an older one, and return its digest.

    The folder is loaded once before it is put in place, so what cannot be loaded is never
    registered.

    Args:
        predictor: The predictor.
        folder: The folder to write.
        model: The configuration.
        types: The features' column types by name.
        keys: Each view's entity key.

    Raises:
        Invalid: it is no predictor, JSON cannot carry an attribute, its class cannot be found, or
            no call could send a keyword-only parameter of `predict`.
    """
    if not any(callable(getattr(predictor, method, None)) for method in ("predict", "extract")):
        raise Invalid(
            f"{model.trainer} returned a {type(predictor).__name__}, which has no predict(rows)",
            remedy="return an object with predict(rows: list[dict]) -> list",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        manifest = _write(predictor, scratch, model, types or {}, keys or {}, whole=False)
        try:
            load(scratch)
        except Invalid:
            if manifest.code != "slice":
                raise
            shutil.rmtree(scratch)
            scratch.mkdir()
            manifest = _write(predictor, scratch, model, types or {}, keys or {}, whole=True)
            load(scratch)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.chmod(0o755)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest.digest


def check_keepable(predictor: Predictor, model: Model) -> None:
    """Check that a predictor can be saved and loaded again, by doing so in a temporary folder.

    Raises:
        Invalid: it cannot be saved, as `save` says.
    """
    with tempfile.TemporaryDirectory(prefix="isthmus-model-") as scratch:
        save(predictor, Path(scratch) / "model", model=model)


def load(folder: Path, *, digest: str = "") -> LoadedModel:
    """Load a predictor from its model folder, its code under a module name of its own.

    `digest` is what the registry says that it holds.

    Raises:
        NotFound: there is no manifest.
        Invalid: the folder is incomplete, altered, or of another content than the registry's; or it
            does not load, or takes other parameters than the manifest says.
    """
    manifest = whole_manifest(folder)
    if digest:
        _check_registered(folder, manifest, digest)
    try:
        kind = getattr(_import(folder, manifest), manifest.predictor)
        if manifest.kept == "files":
            predictor = kind.load(folder / "files")
        else:
            predictor = kind(**json.loads((folder / "attributes.json").read_text(encoding="utf-8")))
    except (
        Exception
    ) as error:  # the user's code may raise anything; the reader needs to know where it came from
        raise Invalid(
            f"{manifest.model} ({manifest.module}.{manifest.predictor}) does not load: "
            f"{type(error).__name__}: {error}",
            remedy="the class must be importable from its own module and take its attributes in "
            "__init__",
        ) from error
    _check_parameters(predictor, manifest)
    return LoadedModel(predictor=with_transforms(predictor, folder), manifest=manifest)


def _check_parameters(predictor: Predictor, manifest: ModelManifest) -> None:
    """Raise Invalid if a loaded `predict` accepts other parameters than the manifest lists.

    An installed class may have changed since. If the manifest lists none, none are ever passed.
    """
    if manifest.accepted and (now := call_parameters.parameters_of(predictor)) != manifest.accepted:
        raise Invalid(
            f"{manifest.model}: {manifest.module}.{manifest.predictor}.predict takes "
            f"{_parameters_text(now)}, and took {_parameters_text(manifest.accepted)} when it "
            "was saved",
            remedy="install the version of its module with which it was trained, or train again",
        )


def _parameters_text(parameters: Mapping[str, CallParameter]) -> str:
    """Return the parameters of `predict` with their defaults as text: `blend=0.5`."""
    return (
        ", ".join(f"{name}={parameter.default!r}" for name, parameter in parameters.items())
        or "no parameters"
    )


def whole_manifest(folder: Path) -> ModelManifest:
    """Return a model folder's manifest; raise an error if a file is not as it was saved.

    Raises:
        NotFound: there is no manifest.
        Refused: it is of a newer format.
        Invalid: the folder is incomplete or altered.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(
            f"{folder} holds no {MANIFEST}: it is not a model folder, or its copy is not complete"
        )
    manifest = decode(
        path.read_bytes(),
        ModelManifest,
        what=str(path),
        remedy="train again, or copy the model folder again",
    )
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise Invalid(
                f"{folder} is not complete: {name} is missing", remedy="copy the model folder again"
            )
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise Invalid(
                f"{file} was changed after it was saved",
                remedy="train again, or copy the model folder again",
            )
    if _digest(manifest) != manifest.digest:
        raise Invalid(
            f"{path} was changed after it was saved",
            remedy="train again, or copy the model folder again",
        )
    return manifest


def _check_registered(folder: Path, manifest: ModelManifest, digest: str) -> None:
    """Raise Invalid if a model folder's content is not what the registry's digest says.

    The folder's own manifest cannot show that the whole folder was exchanged, or a file added.
    """
    if manifest.digest != digest:
        raise Invalid(
            f"{folder} is not the model that was registered: its digest is "
            f"{manifest.digest}, the registry's is {digest}",
            remedy="copy the registered version's folder again, or register what is there as a "
            "version of its own",
        )
    present = {
        path.relative_to(folder).as_posix()
        for part in ("code", "files")
        for path in (folder / part).rglob("*")
        if path.is_file()
    }
    if added := sorted(
        present - manifest.files.keys()
    ):  # compiled code, too: Python would take it instead of its source
        raise Invalid(
            f"{folder} holds {added[0]}, which was not saved with the model",
            remedy="copy the registered version's folder again",
        )


def _write(
    predictor: Predictor,
    folder: Path,
    model: Model,
    types: Mapping[str, str],
    keys: Mapping[str, str],
    *,
    whole: bool,
) -> ModelManifest:
    """Write a predictor's model folder (state, code, manifest), and return the manifest."""
    if isinstance(predictor, Transformed):
        predictor.transforms.write(folder)
    predictor = inner(predictor)
    kind = type(predictor)
    where, code, reason = _write_code(kind, folder / "code", whole=whole)
    if own := _has_own_form(kind):
        (folder / "files").mkdir()
        predictor.save(folder / "files")  # type: ignore[attr-defined]  # _has_own_form saw it
    else:
        text = json.dumps(
            _attributes(predictor), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1
        )
        (folder / "attributes.json").write_text(text + "\n", encoding="utf-8")
    features = [
        {
            "name": f.name,
            "view": f.view,
            "key": keys.get(f.view) if f.view else None,
            "type": types.get(f.name),
        }
        for f in model.features
    ]
    manifest = ModelManifest(
        model=model.model,
        configuration=model.name,
        predictor=kind.__qualname__,
        module=where,
        kept="files" if own else "json",
        code=code,
        whole_because=reason,
        objective=model.objective,
        features=msgspec.convert(features, tuple[ModelFeature, ...]),
        serve_as=model.serve_as,
        trainer=model.trainer,
        parameters=model.parameters,
        files=_hashes(folder),
        versions={"python": ".".join(map(str, sys.version_info[:3])), "isthmus": _version()},
        predict_parameters=call_parameters.parameters_of(predictor) or msgspec.UNSET,
    )
    manifest = msgspec.structs.replace(manifest, digest=_digest(manifest))
    (folder / MANIFEST).write_bytes(
        msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    )
    return manifest


def _has_own_form(kind: type) -> bool:
    """Return whether a predictor's class has its own save(folder) and load(folder).

    Without them, Isthmus stores its attributes as JSON.
    """
    own = [callable(getattr(kind, name, None)) for name in ("save", "load")]
    if any(own) and not all(own):
        raise Invalid(
            f"{kind.__name__} has only one of save(folder) and load(folder)",
            remedy="define both, or neither (JSON is then used)",
        )
    return all(own)


def _write_code(
    kind: type, folder: Path, *, whole: bool
) -> tuple[str, Literal["slice", "module", "installed"], str | None]:
    """Write the code of a predictor's class into its model folder: a part of its module, or all.

    The code of an installed class is not copied. Return the module's name, whether a part, all or
    nothing was copied, and why a module is copied as a whole.
    """
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise Invalid(
            f"{kind.__module__}.{kind.__qualname__} cannot be found again by its name",
            remedy="define the predictor's class at the top level of a module beside project.yaml",
        )
    path = Path(file).resolve()
    if kind.__module__.startswith(_BUILTIN) or _is_installed(path):
        return kind.__module__, "installed", None
    root = path.parents[kind.__module__.count(".") + (path.name == "__init__.py")]
    cut = code_slice.cut(
        kind.__module__, path.read_text(encoding="utf-8"), root, kind.__name__, whole=whole
    )
    for name, text in cut.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return kind.__module__, "module" if cut.whole else "slice", cut.whole


def _is_installed(path: Path) -> bool:
    """Return whether a file belongs to an installed package or the standard library."""
    places = {*site.getsitepackages(), *map(sysconfig.get_path, ("purelib", "platlib", "stdlib"))}
    return any(path.is_relative_to(Path(place).resolve()) for place in places)


def _attributes(predictor: Predictor) -> dict[str, Any]:
    """Return a predictor's public attributes, each checked to be JSON and a parameter of __init__.

    A leading underscore marks what __init__ derives.
    """
    kind = type(predictor)
    slots = [name for base in kind.__mro__ for name in _slots(base)]
    attributes = {
        name: getattr(predictor, name) for name in slots if hasattr(predictor, name)
    } | getattr(predictor, "__dict__", {})
    attributes = {name: value for name, value in attributes.items() if not name.startswith("_")}
    parameters = inspect.signature(kind).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    remedy = "or give the class save(folder) and load(folder)"
    for name, value in attributes.items():
        if name not in parameters and not takes_any:
            raise Invalid(
                f"{kind.__name__}.{name} is not a parameter of {kind.__name__}.__init__, so "
                "it could not be given back",
                remedy=f"take it in __init__; name it _{name} if __init__ derives it; {remedy}",
            )
        if problem := _not_json(value, f"{kind.__name__}.{name}"):
            raise Invalid(
                problem,
                remedy=f"convert it in the trainer (float(...), .tolist(), str keys), {remedy}",
            )
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if required and name not in attributes:
            raise Invalid(
                f"{kind.__name__}.__init__ needs {name}, which is no attribute of the predictor",
                remedy=f"set self.{name}, {remedy}",
            )
    return attributes


def _slots(base: type) -> tuple[str, ...]:
    """Return the attribute names that a class declares in __slots__ (or as struct fields)."""
    slots = base.__dict__.get("__struct_fields__") or base.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _not_json(value: object, where: str) -> str | None:
    """Return text on why a value would not survive JSON unchanged; None if it would.

    `where` names the value. A tuple comes back as a list: that is allowed.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}, which JSON has no word for"
    if value is None or isinstance(value, bool | int | str | float):
        return None
    if isinstance(value, list | tuple):
        inner = [(item, f"{where}[{i}]") for i, item in enumerate(value)]
    elif isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            return f"{where} has the key {wrong[0]!r}: JSON keys are strings"
        inner = [(item, f"{where}[{key!r}]") for key, item in value.items()]
    else:
        return (
            f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which is not JSON"
        )
    return next(filter(None, (_not_json(item, place) for item, place in inner)), None)


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a model folder, by relative path."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _digest(manifest: ModelManifest) -> str:
    """Return the SHA-256 of a model's manifest.

    The versions of Python, Isthmus and the format are left out, so that an upgrade does not change
    it.
    """
    plain = msgspec.to_builtins(manifest)
    plain = {
        key: value for key, value in plain.items() if key not in {"digest", "versions", "schema"}
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_loads = itertools.count(1)


def _import(folder: Path, manifest: ModelManifest) -> ModuleType:
    """Import a model's code as a package of its own, and return the predictor's module.

    Two models, or a model and its trainer, then never share a module.
    """
    if manifest.code == "installed":
        return importlib.import_module(manifest.module)
    name = f"isthmus_model_{manifest.digest[:12]}_{os.getpid()}_{next(_loads)}"
    package = ModuleType(name)
    package.__path__ = [str((folder / "code").resolve())]
    sys.modules[name] = package
    writes_no_bytecode, sys.dont_write_bytecode = (
        sys.dont_write_bytecode,
        True,
    )  # a model folder holds what was digested, nothing else
    importlib.invalidate_caches()
    try:
        return importlib.import_module(f"{name}.{manifest.module}")
    finally:
        sys.dont_write_bytecode = writes_no_bytecode


def _version() -> str:
    """Return the installed version of Isthmus."""
    from importlib.metadata import version

    return version("isthmus")
