"""What `--json` says of each command, from the types that its verb returns: docs/json.md shows it,
json_shapes_2.json keeps format 2.
"""

import ast
import inspect
import json
import re
import sys
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pyarrow as pa

import isthmus
from isthmus.cli.console.console import FORMAT
from isthmus.cli.console.examples import EXAMPLES
from isthmus.experiments.results.log_document import LogDocument
from isthmus.experiments.results.results import Results
from isthmus.lifecycle.checks.doctor import Finding
from isthmus.lifecycle.checks.first_account import Round
from isthmus.pipelines.run_pages.compare import RunComparison
from isthmus.pipelines.run_pages.records import Run
from isthmus.rollouts.verbs.rollout import Started
from isthmus.rollouts.verbs.status import Status
from isthmus.target import AccountCheck

# command -> its verb, where Python's name is another
OTHERWISE = {
    "compile": "compile_run",  # `compile` is Python's own
    "import": "adopt",  # a word of Python's
    "gateway": "Gateway",
    "endpoints serve": "Gateway",  # short for `gateway`
}
KEPT = Path(__file__).with_name(f"json_shapes_{FORMAT}.json")
NONE = {
    "schema",
    "stack run",
    "demo",
}  # JSON Schema itself; what the command that it runs prints; figures of an example
SERVES = {"url": str, "endpoints": tuple[str, ...], "workers": int}
# command -> field -> type, where the document is not what the verb returns
OWN = {
    "doctor": {
        "items": tuple[Finding, ...],
        "checks": tuple[AccountCheck, ...],
        "round": Round | None,
    },
    "rollout run": {"": Status},
    "rollout start": {"": Started},
    "runs compare": {"items": tuple[RunComparison, ...]},
    "train": {"items": tuple[Run, ...]},
    "completion": {"shell": str, "source": str},
    "endpoints serve": SERVES,
    "experiment report": {"page": str},
    "experiment results": {"": Results | LogDocument},
    "gateway": SERVES,
    "rollout abort": {"": Status, "rollout": type(None)},  # null: it has had none
    "rollout report": {"page": str},
    "rollout wait": {"endpoint": str, "outcome": str},
    "stack policy": {"policy": dict[str, Any]},
    "stack up": {"url": str, "pid": int, "env": dict[str, str]},
    "ui": {"url": str, "write": bool},
}
LEAVES = {
    str: "text", int: "integer", float: "number", bool: "true or false", Decimal: "decimal as text", datetime: "time", date: "date",
    timedelta: "duration", Path: "text", bytes: "base64", type(None): "null", object: "any", Any: "any",
}  # fmt: skip


def shapes():
    """Command -> place (`items[].name`) -> type."""
    return {command: shape_of(command) for command in sorted(EXAMPLES.keys() - NONE)}


def verb_of(command):
    return attrgetter(OTHERWISE.get(command) or command.replace(" ", ".").replace("-", "_"))(
        isthmus
    )


def shape_of(command):
    found = {}
    if command in OWN:
        for name, kind in OWN[command].items():
            walk(name, kind, found, ())
    else:
        verb = verb_of(command)
        for kind in alternatives(evaluate(verb.__annotations__["return"], verb.__module__)):
            walk("" if is_struct(kind) else "items", kind, found, ())
    return {place: " or ".join(sorted(kinds)) for place, kinds in sorted(found.items())}


def walk(place, kind, found, above):
    """Add what stands at a place and below it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_struct(kind):
        if kind in above:
            found.setdefault(place, set()).add("object, as above")
            return
        if tag := kind.__struct_config__.tag_field:
            found.setdefault(join(place, tag), set()).add(
                "integer" if isinstance(kind.__struct_config__.tag, int) else "text"
            )
        for name, below in fields(kind).items():
            walk(join(place, name), below, found, (*above, kind))
    elif origin in (Union, types.UnionType):
        if any(is_struct(one) for one in arguments) and type(None) in arguments:
            found.setdefault(place, set()).add("object")
        for one in arguments:
            walk(place, one, found, above)
    elif origin is Literal:
        found.setdefault(place, set()).update(
            f'"{word}"' if isinstance(word, str) else str(word) for word in arguments
        )
    elif origin is tuple and Ellipsis not in arguments:
        for position, one in enumerate(arguments):
            walk(f"{place}[{position}]", one, found, above)
    elif kind is pa.Table:
        walk(place, tuple[dict[str, Any], ...], found, above)
    elif origin is not None and issubclass(origin, Mapping):
        walk(join(place, "*"), arguments[1], found, above)
    elif origin is not None and issubclass(origin, Sequence | AbstractSet):
        walk(f"{place}[]", arguments[0], found, above)
    else:
        found.setdefault(place, set()).add(LEAVES[kind])


def join(place, name):
    return f"{place}.{name}" if place else name


def is_struct(kind):
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def alternatives(kind):
    """A union of structs is one of several documents."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


@cache
def fields(struct):
    """Name -> type, in the order of the base's first."""
    return {
        name: evaluate(text, base.__module__)
        for base in reversed(struct.__mro__)
        if is_struct(base) and base is not msgspec.Struct
        for name, text in inspect.get_annotations(base).items()
        if not str(text).startswith("ClassVar")
    }


def evaluate(text, module):
    """An annotation as a type, also where its names are imported for type checkers alone."""
    return (
        eval(text, dict(vars(sys.modules[module])), Later(module))
        if isinstance(text, str)
        else text
    )


class Later(dict):
    """The names that a module imports under TYPE_CHECKING."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def __missing__(self, name):
        if hasattr(sys.modules[self.module], name):
            raise KeyError(name)
        module, attribute = where(self.module)[name]
        return getattr(import_module(module), attribute) if attribute else import_module(module)


@cache
def where(module):
    """Name -> (module, attribute) of what is imported under TYPE_CHECKING; of a module no
    attribute.
    """
    source = ast.parse(Path(sys.modules[module].__file__).read_text())
    package = (
        module
        if Path(sys.modules[module].__file__).name == "__init__.py"
        else module.rpartition(".")[0]
    )
    places = {}
    for block in ast.walk(source):
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING":
            for line in block.body:
                if isinstance(line, ast.ImportFrom):
                    base = package.rsplit(".", line.level - 1)[0] if line.level > 1 else package
                    whole = f"{base}.{line.module}" if line.level else line.module
                    places |= {
                        alias.asname or alias.name: (whole, alias.name) for alias in line.names
                    }
                elif isinstance(line, ast.Import):
                    places |= {alias.asname or alias.name: (alias.name, "") for alias in line.names}
    return places


def keep():
    """Write down what came; what went, or has another type, stays for the test that says so."""
    kept = json.loads(KEPT.read_text())
    for command, places in shapes().items():
        kept[command] = places | {
            place: text
            for place, text in kept.get(command, {}).items()
            if list(changed({place: text}, places))
        }
    KEPT.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")


def changed(kept, now):
    """Places that went, and those of another type. Words may be added."""
    for place, text in kept.items():
        types, words = kinds(text)
        if place not in now or kinds(now[place])[0] != types or not words <= kinds(now[place])[1]:
            yield f"{place}: {text} -> {now.get(place, 'gone')}"


def kinds(text):
    """The types of a place, and the words that it may say."""
    parts = text.split(" or ")
    return {part for part in parts if not part.startswith('"')}, {
        part for part in parts if part.startswith('"')
    }


def strangers(value, shape, place=""):
    """Places of a document that its shape does not have."""
    known = prefixes(shape)
    if "any" in shape.get(place, "") or "as above" in shape.get(place, ""):
        return []
    if isinstance(value, dict):
        below = {
            name: join(place, name) if join(place, name) in known else join(place, "*")
            for name in value
        }
    elif isinstance(value, list):
        below = {
            position: f"{place}[]" if f"{place}[]" in known else f"{place}[{position}]"
            for position in range(len(value))
        }
    else:
        return [] if place in shape else [place]
    if not value:
        return [] if place in known else [place]
    return [
        stranger for key, there in below.items() for stranger in strangers(value[key], shape, there)
    ]


def prefixes(shape):
    """Every place, and those on the way to it."""
    return {
        place[:end]
        for place in shape
        for end in [match.start() for match in re.finditer(r"[.\[]|$", place)]
    } | {""}


def page():
    """docs/json.md: a list of places a command."""
    lines = [
        (
            f'What each command says with `--json`, beside `"format": {FORMAT}`. Within a format '
            "places are added; none goes or changes, but a"
        ),
        (
            "word may join others. `items[]` is each of a list, `*` any name, `null` what may be "
            "missing. With `--dry-run` a command says"
        ),
        (
            '`{"dry_run": ..., "would": ...}`; after an error it is `{"error": {"kind": ..., '
            '"message": ..., "remedy": ...}}`.'
        ),
    ]
    told = {}  # text -> the command that has it already
    for command, places in shapes().items():
        body = "\n".join(f"{place}: {kind}" for place, kind in places.items())
        first = told.setdefault(body, command)
        lines.append(
            f"\n## isthmus {command}\n"
            + (f"```\n{body}\n```" if first == command else f"As `isthmus {first}`.")
        )
    return "\n".join(["# JSON of the commands", *lines, ""])
