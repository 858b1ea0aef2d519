"""The references in a value of a definition: {"Get": ...}, wherever they stand."""

from collections.abc import Iterator

import msgspec

from . import paths


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference, such as `Steps.Train.FinalMetricDataList['auc'].Value`.

    Its kind is Steps, its name Train, and the path is below that.
    """

    kind: str
    name: str
    path: tuple[str | int, ...]
    text: str


def reference(text: object) -> Reference:
    """Parse the value of a {"Get": ...} expression, for example `Steps.Train.ModelArtifacts`.

    A step's name may hold `-` and spaces, so it ends at the first dot or bracket.
    """
    if not isinstance(text, str):
        raise paths.PathError(f'"Get" takes a string, not {text!r}')
    kind, _, rest = text.partition(".")
    if kind not in ("Parameters", "Execution", "Steps") or not rest:
        raise paths.PathError(f"'{text}' must begin with 'Parameters.', 'Execution.' or 'Steps.'")
    ends = [position for position in (rest.find("."), rest.find("[")) if position > 0]
    name, tail = (rest[: min(ends)], rest[min(ends) :]) if ends else (rest, "")
    if kind == "Steps" and not tail:
        raise paths.PathError(f"'{text}' names a step but none of its properties")
    if kind != "Steps" and tail:
        raise paths.PathError(f"'{text}': {kind} have no properties")
    return Reference(kind=kind, name=name, path=paths.parse(tail.removeprefix(".")), text=text)


def references(value: object) -> Iterator[Reference]:
    """Yield the references ({"Get": ...}) anywhere within a step's argument."""
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            yield reference(value["Get"])
            return
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
