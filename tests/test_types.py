"""What mypy and pyright see of `import isthmus as im`: the verbs with their types, and nothing else."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import isthmus

from .test_architecture import FOLDERS

ROOT = Path(isthmus.__file__).parent
BIN = Path(sys.executable).parent
RIGHT = """
import isthmus as im
from isthmus import Project

project: Project = im.open("project.yaml", target="local")
with project:
    name: str = im.ingest(project)[0].event
    seconds: float = im.ingest(project, max_bad=0.01)[0].seconds
"""
WRONG = """
import isthmus as im

p = im.open("project.yaml")
im.trian(p)
im.train()
reveal_type(p)
"""


def test_the_imports_for_type_checkers_are_the_root_table():
    (guarded,) = (
        node.body
        for node in ast.parse((ROOT / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    imports = [(alias.name, alias.asname, node.module) for node in guarded for alias in node.names]
    assert all(name == exported for name, exported, _ in imports)  # `x as x`: how a typed package exports a name
    assert {name: module for name, _, module in imports} == isthmus._WHERE
    assert isthmus.__all__ == sorted(isthmus._WHERE)


def test_every_name_of_the_root_table_can_be_loaded():
    assert [name for name in isthmus.__all__ if getattr(isthmus, name).__name__.rpartition(".")[2] != name] == []


def test_pyright_is_given_every_folder_of_the_package_and_none_that_it_passes_over():
    pyright = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    assert set(pyright["include"]) == {"*.py", *FOLDERS}
    assert [path for path in (*pyright["include"], *pyright["strict"]) if path.startswith(".")] == []
    assert [path for path in pyright["strict"] if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def wheel_python(tmp_path_factory):
    """The Python of an environment that holds the wheel, made from a copy of the checkout, and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", ignore=left_out, symlinks=True)
    _run(BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder, folder / "checkout")
    (wheel,) = folder.glob("*.whl")
    python = folder / "environment" / "bin" / "python"
    _run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "environment")
    _run(BIN / "uv", "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wheel)
    return python


def _run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["editable", "wheel"])
def installation(request):
    """The Python to check against, and the search path that an editable install needs: checkers do not follow its import hook."""
    if request.param == "wheel":
        return request.getfixturevalue("wheel_python"), []
    return Path(sys.executable), [str(ROOT / ".alias")]


@pytest.fixture(params=["mypy", "pyright"])
def errors(request, installation, tmp_path):
    """A function from code to "line: message" of every error in it, as a script in a user's folder."""
    python, paths = installation

    def mypy(script):
        command = [BIN / "mypy", "--python-executable", python, "--follow-imports=silent", "--strict", "--no-error-summary", script.name]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "MYPYPATH": ":".join(paths)}, capture_output=True, text=True, check=False
        )
        assert not done.stderr, done.stderr
        return [line.removeprefix(f"{script.name}:") for line in done.stdout.splitlines()]

    def pyright(script):
        config = {"include": [script.name], "extraPaths": paths, "typeCheckingMode": "standard"}
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
        command = [BIN / "pyright", "--outputjson", "--pythonpath", python]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        report = json.loads(done.stdout)
        assert report["summary"]["filesAnalyzed"] == 1
        return [f"{error['range']['start']['line'] + 1}: {error['message']}" for error in report["generalDiagnostics"]]

    def check(code):
        script = tmp_path / "user.py"
        script.write_text(code.lstrip())
        return {"mypy": mypy, "pyright": pyright}[request.param](script)

    return check


@pytest.mark.slow
def test_a_checker_knows_the_verbs_and_rejects_a_misspelt_one_and_a_missing_argument(errors):
    assert errors(RIGHT) == []
    misspelt, missing, revealed = errors(WRONG)
    assert misspelt.startswith("4:")
    assert "trian" in misspelt
    assert missing.startswith("5:")
    assert "missing" in missing.lower()
    assert revealed.startswith("6:")
    assert "Project" in revealed
