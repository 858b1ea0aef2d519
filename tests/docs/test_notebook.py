"""The example's notebook: its cells run in order in a new project, and it is kept without outputs.

The cells that stand on two trainings wait for ISTHMUS_EVERY_BLOCK, as the tutorial's do.
"""

import ast
import json
import os
from pathlib import Path

import pytest

import isthmus as im

OFTEN = "ISTHMUS_EVERY_BLOCK" in os.environ
CELLS = json.loads(
    (Path(im.__file__).parent / "examples" / "openbandit" / "notebook.ipynb").read_text()
)["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def displayed(cell, names):
    """What a cell's last expression is, after the cell ran."""
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def test_no_output_is_kept():
    assert [cell for cell in CODE if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_cell_runs_and_shows_something(tmp_path, monkeypatch):
    im.init(tmp_path / "shop", example="openbandit")
    monkeypatch.chdir(tmp_path / "shop")
    names, silent = {}, []
    try:
        for cell in CODE:
            if OFTEN or "often" not in cell["metadata"].get("tags", ()):
                result = displayed(cell, names)
                shown = (
                    getattr(result, "_repr_html_", lambda: None)() if result is not None else None
                )
                silent += [] if shown else ["".join(cell["source"])]
    finally:
        if "project" in names:
            im.destroy(names["project"])
    assert silent == ["".join(CODE[-1]["source"])]  # the last one closes
