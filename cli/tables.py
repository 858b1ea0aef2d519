"""Aligned columns for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def grid(rows: Iterable[Sequence[object]], *, head: Sequence[str] = (), indent: str = "") -> str:
    """Left-aligned columns, numbers right-aligned, two spaces between."""
    shown = [[_cell(value) for value in row] for row in rows]
    raw = [list(head)] * bool(head) + shown
    if not raw:
        return ""
    widths = [max(len(row[i]) for row in raw) for i in range(len(raw[0]))]
    right = [bool(shown) and all(_number(row[i]) for row in shown) for i in range(len(widths))]
    lines = []
    for row in raw:
        cells = [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(row, widths, right, strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _number(cell: str) -> bool:
    return not cell or cell.replace(",", "").replace(".", "").replace("-", "").isdigit()
