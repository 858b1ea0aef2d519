"""Find the earlier result of a step, so that it need not run again (our cache).

A key is the digest of named parts, so that a miss can say which part changed. The index is in
blobs: `cache/<pipeline>/<step>/<key>.json` names the result that was computed under a key,
`.../last.json` the last that was used. A result counts only if its artifacts are still whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from ...core.formats import StoredDocument
from ...errors import Invalid
from ...project.modules import importable
from ...storage import BlobStore, below, located
from ..graphs.graph import Step
from .artifacts import damage, digest_file, digest_text
from .document import RunDocument, StepResult, find, runs_folder, write
from .step_names import module_of, stable_name

_SHOWN = 160  # characters of a part that are kept as they are; longer ones end in a digest


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a step's cache key that is not as it was.

    `part`: parameters.C, inputs.rows, source, fingerprint.revision, ...
    """

    step: str
    part: str
    before: str | None
    after: str | None


class KeyRecord(StoredDocument, frozen=True, kw_only=True):
    """The document key.json of a step: why it had to run."""

    key: str
    parts: dict[str, str]
    previous: str | None  # the run of the last result of this step, or None
    changes: tuple[KeyChange, ...]


class _Entry(StoredDocument, frozen=True, kw_only=True):
    run: str
    result: str  # a step.json, below the store's root
    parts: dict[str, str]


def key_parts(
    document: RunDocument, step: Step, parameters: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, str]:
    """Return the parts of a step's cache key by name: code, parameters, input digests, ...

    `parameters` are the values, and `inputs` the digests of inputs, by name.

    Raises:
        Invalid: the code cannot be found.
    """
    parts = {
        "pipeline": document.pipeline,
        "step": step.name,
        "isthmus": document.version,
        "outputs": _shorten(
            ", ".join(
                [
                    *(f"{o.name}: {o.type}" for o in step.outputs),
                    *(f"{name}/" for name in step.artifacts),
                ]
            )
        ),
    }
    if step.function is not None:
        parts["function"] = stable_name(step.function)
        parts["source"] = _module_digest(step, document.folder)
    else:
        command = step.command or ()
        parts["command"] = _shorten(_canonical(command))
        parts |= _script_digests(command, Path(document.folder))
    parts |= {
        name: _shorten(_canonical(value)) for name, value in _leaves("parameters", parameters)
    }
    parts |= {f"inputs.{name}": digest for name, digest in inputs.items()}
    parts |= {f"fingerprint.{name}": _shorten(text) for name, text in step.fingerprint.items()}
    return parts


def key_of(parts: Mapping[str, str]) -> str:
    """Return a step's cache key: the digest of its named parts."""
    return digest_text(msgspec.json.encode(dict(parts), order="sorted"))[:32]


def look_up(
    blobs: BlobStore, document: RunDocument, step: Step, parts: dict[str, str]
) -> StepResult | KeyRecord:
    """Return a step's cached result by the parts of its key, or a record of why it must run.

    A result with missing or changed artifacts does not count.
    """
    key = key_of(parts)
    folder = _folder(blobs, document, step)
    last = find(blobs, f"{folder}/last.json", _Entry)
    changes = list(_changes(step.name, last.parts, parts)) if last else []
    entry = find(blobs, f"{folder}/{key}.json", _Entry)
    result = find(blobs, located(blobs.root, entry.result), StepResult) if entry else None
    if step.cache and result is not None and result.key == key:
        broken = [
            KeyChange(step=step.name, part=f"artifact {name}", before=artifact.digest, after=what)
            for name, artifact in result.artifacts.items()
            if (what := damage(blobs, artifact))
        ]
        if not broken:
            return result
        changes = broken
    elif step.cache and entry is not None:
        changes = [
            KeyChange(
                step=step.name, part="result", before=entry.result, after="missing or damaged"
            )
        ]
    elif not step.cache:
        changes.append(
            KeyChange(step=step.name, part="cache", before=None, after="off: it runs every time")
        )
    return KeyRecord(
        key=key, parts=parts, previous=last.run if last else None, changes=tuple(changes)
    )


def remember(blobs: BlobStore, document: RunDocument, step: Step, result: StepResult) -> None:
    """Add a step's result to the cache, and record it as the step's last result.

    A result that came from the cache is only recorded as the last.
    """
    folder = _folder(blobs, document, step)
    uri = f"{runs_folder(blobs.root)}/{result.run}/{step.name}/step.json"
    entry = _Entry(run=result.run, result=below(blobs.root, uri), parts=result.parts)
    if step.cache and result.cached_from is None:
        write(blobs, f"{folder}/{result.key}.json", entry)
    write(blobs, f"{folder}/last.json", entry)


def _folder(blobs: BlobStore, document: RunDocument, step: Step) -> str:
    """Return the URI of the folder that indexes a step's cached results."""
    return f"{blobs.root.rstrip('/')}/cache/{document.pipeline}/{step.name}"


def _changes(
    step: str, old_parts: Mapping[str, str], new_parts: Mapping[str, str]
) -> list[KeyChange]:
    """Return the parts of a step's cache key that differ between the last run and this one."""
    if "function" in old_parts:  # the same function by its name of before is no change
        old_parts = {**old_parts, "function": stable_name(old_parts["function"])}
    names = sorted(
        name for name in {*old_parts, *new_parts} if old_parts.get(name) != new_parts.get(name)
    )
    return [
        KeyChange(step=step, part=name, before=old_parts.get(name), after=new_parts.get(name))
        for name in names
    ]


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield a nested mapping's entries one by one, under dotted names that begin with `name`.

    An empty mapping counts as a value.
    """
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _leaves(f"{name}.{key}", entry)
    else:
        yield name, value


def _canonical(value: object) -> str:
    """Return a step's parameter as canonical JSON text; raise Invalid if it cannot be JSON."""
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except TypeError as error:
        raise Invalid(f"a step's parameter must be JSON: {error}") from error


def _shorten(text: str) -> str:
    """Return a text, or the beginning of a long one with the digest of all of it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}... sha256:{digest_text(text)}"


def _module_digest(step: Step, folder: str) -> str:
    """Return the SHA-256 of the module file that holds a step's function.

    Its own imports do not count: name them in `fingerprint`.
    """
    module = module_of(step.function or "")
    importable(folder)
    try:
        spec = find_spec(module)
    except (
        ModuleNotFoundError,
        ValueError,
    ):  # ValueError: a module without a spec, such as __main__
        spec = None
    if spec is None or spec.origin is None:
        raise Invalid(
            f"step {step.name}: there is no module {module}",
            remedy=f"it is looked for in {folder} and among what is installed",
        )
    return digest_file(Path(spec.origin))


def _script_digests(command: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Return the SHA-256 of project files that a step's command names (`python train.py`).

    Their content belongs to the key.
    """
    files = {
        argument: folder / argument
        for argument in command
        if argument and not argument.startswith(("-", "/", "{"))
    }
    return {
        f"source {name}": digest_file(path)
        for name, path in files.items()
        if os.path.isfile(path)  # noqa: PTH113  an argument too long for a name is no file, where Path.is_file raises
    }
