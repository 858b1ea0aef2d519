"""Write the file of an experiment, `experiments/<name>.yaml`, from a form's fields.

Pure; the project's loader says whether the file is sound.
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
    """Return the path of a new experiment's YAML file, relative to the project's folder.

    Raises:
        ValueError: The text is not a name.
    """
    if name_problem(name) is not None:
        raise ValueError(f"{name!r} is not a name")
    return f"experiments/{name}.yaml"


def text(fields: Mapping[str, str]) -> str:
    """Return a form's fields as the YAML of an experiment, in reading order, without empty ones."""
    return "\n".join(_lines({name: _trim(name, fields.get(name, "")) for name in FIELDS})) + "\n"


def diff(file: str, written: str) -> str:
    """Return a unified diff that adds a file with this text, for `git apply` or `patch -p1`."""
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
    """Return a form field's value; one of a single line loses its invisible characters."""
    if name in BLOCKS:
        return value.strip()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())


def _lines(fields: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a new experiment's YAML."""
    for name in ("layer", "owner", "hypothesis"):
        yield from _scalar(name, fields[name])
    yield from _block("arms", fields["arms"])
    yield from _block("weights", fields["weights"])
    for name in ("share", "holdout"):
        yield from [f"{name}: {_percent(fields[name])}"] if fields[name] else []
    yield from _block("targeting", fields["targeting"])
    yield from _list("metric", fields["metric"], alone=True)
    if fields["guardrails"]:
        yield from [
            "guardrails:",
            *(f"  - {_guardrail(line)}" for line in _nonempty_lines(fields["guardrails"])),
        ]
    yield from _list("also", fields["also"])
    yield from _list("segments", fields["segments"])
    if fields["effect"]:
        days = f", days: {fields['days']}" if fields["days"] else ""
        yield f"plan: {{minimum_effect: {_percent(fields['effect'])}{days}}}"


def _scalar(name: str, value: str) -> list[str]:
    """Return a line of YAML with a name and its value, quoted unless it can only be a string."""
    if not value:
        return []
    words = _PLAIN.fullmatch(value) and scalar(value).value == value
    return [f"{name}: {value if words else json.dumps(value, ensure_ascii=False)}"]


def _block(name: str, value: str) -> list[str]:
    """Return YAML lines for a mapping whose entries the user wrote, one on each line."""
    return [f"{name}:", *(f"  {line}" for line in _nonempty_lines(value))] if value else []


def _nonempty_lines(value: str) -> list[str]:
    """Return the lines of a text that are not blank."""
    return [line.rstrip() for line in value.splitlines() if line.strip()]


def _list(name: str, value: str, *, alone: bool = False) -> list[str]:
    """Return a line of YAML with a list of names that commas, blanks or line breaks separate.

    With `alone`, a single name is written as the value itself.
    """
    parts = [part for part in re.split(r"[\s,]+", value) if part]
    if not parts:
        return []
    return [f"{name}: {parts[0]}" if alone and len(parts) == 1 else f"{name}: [{', '.join(parts)}]"]


def _percent(value: str) -> str:
    """Return a number's text with a percent sign at its end, added if it is missing."""
    return value if value.endswith("%") else f"{value}%"


def _guardrail(line: str) -> str:
    """Convert a line such as `bought may drop 2 %` to the YAML of a guardrail."""
    if words := _GUARDRAIL.fullmatch(line.strip()):
        return f"{{metric: {words[1]}, max_{words[2]}: {words[3]}%}}"
    return line.strip()
