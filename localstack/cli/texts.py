"""Texts of the command line about stacks, faults and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.faults import Fault
from ..core.launch import RunningStack, environment_of

if TYPE_CHECKING:
    from ..aws.coverage import OperationCoverage as CoveredAws
    from ..gcp.coverage import OperationCoverage as CoveredGcp


def headline(running: RunningStack, options: Mapping[str, Any]) -> str:
    """Return the first line that `up` prints: the stack's cloud and address, and how open it is.

    `options` are the keyword arguments with which the stack was started.
    """
    own = environment_of(running.cloud)
    is_open = options["any_key"] or options["moto_answers"]
    return (
        f"{own.TITLE} on {running.url.removeprefix('http://')}   {own.SERVICES}   "
        f"{own.summary(running.url)}"
        f"{'   --moto-answers: what nobody executed is made up' if options['moto_answers'] else ''}"
        f"{'   --open: anybody on this machine, with any key' if is_open else ''}"
    )


def exports(running: RunningStack) -> Iterator[str]:
    """Yield the environment variables to export, in a block for each way to connect."""
    for words, variables in environment_of(running.cloud).ways(running.url):
        if words:
            yield f"  {words}"
        yield "  export " + " ".join(f"{name}={value}" for name, value in variables.items())


def fault_line(fault: Fault) -> str:
    """Return one line with a fault's number, kind, the calls it hits and how often."""
    where = ":".join(part for part in (fault.service, fault.operation) if part) or "everything"
    name = f" {fault.name}" if fault.name else ""
    times = (
        "until it is cleared"
        if fault.times is None
        else f"{fault.times} time{'s' if fault.times != 1 else ''}"
    )
    return f"{fault.id:>3}  {fault.kind:<20} {where}{name}   {times}"


def coverage_rows(
    operations: Sequence[CoveredAws] | Sequence[CoveredGcp],
) -> tuple[list[tuple[str, str, str, str]], str]:
    """Return a row for each operation, and a line that counts them.

    A row has the service, the operation, its level, and by whom it is done where not by us.
    """
    counts = Counter(operation.level for operation in operations)
    rows: list[tuple[str, str, str, str]] = [
        (
            covered.service,
            covered.operation,
            covered.level,
            "" if covered.by == "isthmus" else covered.by,
        )
        for covered in operations
    ]
    return (
        rows,
        (
            f"{counts['executes']} operations execute, {counts['stores only']} only store, "
            f"{counts['not there']} are not there"
        ),
    )


def policy_parts(rights: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Split a policy that a stack returned into its JSON values and its text.

    The text is the cloud's own where the stack sent one, else the values as indented JSON.
    """
    values = {name: value for name, value in rights.items() if name != "text"}
    return values, rights.get("text") or msgspec.json.format(
        msgspec.json.encode(values), indent=2
    ).decode()
