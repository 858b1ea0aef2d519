"""From a form's fields to the file of an experiment:

`experiments/<name>.yaml`. Pure; the project's loader says whether it is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ....project.reading.names import name_problem
from ....project.reading.yaml import scalar

FIELDS = (
    "name",
    "layer",
    "hypothesis",
    "owner",
    "arms",
    "weights",
    "share",
    "holdout",
    "targeting",
    "metric",
    "guardrails",
    "also",
    "segments",
    "effect",
    "days",
)
BLOCKS = ("arms", "weights", "targeting", "guardrails")  # have a line an entry
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.%/()_-]*")
_GUARDRAIL = re.compile(r"(\w+)\s+(?:may\s+)?(drop|rise)\s+(?:by\s+|to\s+)?([0-9.]+)\s*%?")


def file_of(name: str) -> str:
    """Relative to the project's folder. ValueError: it is no name, so there is no such file."""
    if name_problem(name) is not None:
        raise ValueError(f"{name!r} is not a name")
    return f"experiments/{name}.yaml"


def text(fields: Mapping[str, str]) -> str:
    """YAML, in the order in which people read it. What is empty is left out."""
    return "\n".join(_lines({name: _trim(name, fields.get(name, "")) for name in FIELDS})) + "\n"


def diff(file: str, written: str) -> str:
    """What `git apply` and `patch -p1` make the file of."""
    lines = written.splitlines()
    head = [
        f"diff --git a/{file} b/{file}",
        "new file mode 100644",
        "--- /dev/null",
        f"+++ b/{file}",
        f"@@ -0,0 +1,{len(lines)} @@",
    ]
    return "\n".join([*head, *(f"+{line}" for line in lines)]) + "\n"


def _trim(name: str, value: str) -> str:
    """Of a line without what nobody can see in a file."""
    if name in BLOCKS:
        return value.strip()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())


def _lines(of: Mapping[str, str]) -> Iterator[str]:
    for name in ("layer", "owner", "hypothesis"):
        yield from _scalar(name, of[name])
    yield from _block("arms", of["arms"])
    yield from _block("weights", of["weights"])
    for name in ("share", "holdout"):
        yield from [f"{name}: {_percent(of[name])}"] if of[name] else []
    yield from _block("targeting", of["targeting"])
    yield from _list("metric", of["metric"], alone=True)
    if of["guardrails"]:
        yield from [
            "guardrails:",
            *(f"  - {_guardrail(line)}" for line in _nonempty_lines(of["guardrails"])),
        ]
    yield from _list("also", of["also"])
    yield from _list("segments", of["segments"])
    if of["effect"]:
        days = f", days: {of['days']}" if of["days"] else ""
        yield f"plan: {{minimum_effect: {_percent(of['effect'])}{days}}}"


def _scalar(name: str, value: str) -> list[str]:
    """Quoted, unless it cannot be read as anything but words."""
    if not value:
        return []
    words = _PLAIN.fullmatch(value) and scalar(value).value == value
    return [f"{name}: {value if words else json.dumps(value, ensure_ascii=False)}"]


def _block(name: str, value: str) -> list[str]:
    """A mapping, an entry a line."""
    return [f"{name}:", *(f"  {line}" for line in _nonempty_lines(value))] if value else []


def _nonempty_lines(value: str) -> list[str]:
    return [line.rstrip() for line in value.splitlines() if line.strip()]


def _list(name: str, value: str, *, alone: bool = False) -> list[str]:
    """`ctr, bought` or one a line. `alone`: of one the value itself."""
    parts = [part for part in re.split(r"[\s,]+", value) if part]
    if not parts:
        return []
    return [f"{name}: {parts[0]}" if alone and len(parts) == 1 else f"{name}: [{', '.join(parts)}]"]


def _percent(value: str) -> str:
    return value if value.endswith("%") else f"{value}%"


def _guardrail(line: str) -> str:
    """`bought may drop 2 %`, as pages say it; what reads otherwise is left to the loader."""
    if words := _GUARDRAIL.fullmatch(line.strip()):
        return f"{{metric: {words[1]}, max_{words[2]}: {words[3]}%}}"
    return line.strip()
