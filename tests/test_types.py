"""What mypy and pyright see of `import isthmus as im`: the verbs with their types, and nothing
else.
"""

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
    assert all(
        name == exported for name, exported, _ in imports
    )  # `x as x`: how a typed package exports a name
    assert {name: module for name, _, module in imports} == isthmus._WHERE
    assert isthmus.__all__ == sorted(isthmus._WHERE)


def test_every_name_of_the_root_table_can_be_loaded():
    assert [
        name
        for name in isthmus.__all__
        if getattr(isthmus, name).__name__.rpartition(".")[2] != name
    ] == []


def test_pyright_is_given_every_folder_of_the_package_and_none_that_it_passes_over():
    pyright = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    assert set(pyright["include"]) == {"*.py", "localstack", *FOLDERS}
    assert [
        path for path in (*pyright["include"], *pyright["strict"]) if path.startswith(".")
    ] == []
    assert [path for path in pyright["strict"] if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def wheel_python(tmp_path_factory):
    """The Python of an environment that holds the wheel, made from a copy of the checkout, and what
    it requires.
    """
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", ignore=left_out, symlinks=True)
    lock = ROOT / "requirements.lock"
    hashed = ["--require-hashes", "--build-constraints", lock]
    _run(
        BIN / "uv", "build", "--quiet", *hashed, "--wheel", "--out-dir", folder, folder / "checkout"
    )
    (wheel,) = folder.glob("*.whl")
    python = folder / "environment" / "bin" / "python"
    _run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "environment")
    install = [BIN / "uv", "pip", "install", "--quiet", "--python", python]
    _run(*install, *hashed, "--constraint", lock, "--requirement", ROOT / "pyproject.toml")
    _run(*install, "--no-deps", wheel)
    return python


def _run(*command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


PAIRS = [("mypy", "wheel"), ("pyright", "editable"), ("mypy", "editable"), ("pyright", "wheel")]


@pytest.fixture(
    params=PAIRS if "ISTHMUS_EVERY_CHECKER" in os.environ else PAIRS[:2], ids=" and ".join
)
def errors(request, tmp_path):
    """A function from code to "line: message" of every error in it, as a script in a user's folder.

    Of an editable install a checker is told the search path: it does not follow the import hook.
    """
    checker, installation = request.param
    if installation == "wheel":
        python, paths = request.getfixturevalue("wheel_python"), []
    else:
        python, paths = Path(sys.executable), [str(ROOT / ".alias")]

    def mypy(script):
        command = [
            BIN / "mypy",
            "--python-executable",
            python,
            "--follow-imports=silent",
            "--strict",
            "--no-error-summary",
        ]
        command += [
            "--cache-dir",
            os.devnull,
            script.name,
        ]  # nobody asks again: to write it takes a second
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "MYPYPATH": ":".join(paths)},
            capture_output=True,
            text=True,
            check=False,
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
        return [
            f"{error['range']['start']['line'] + 1}: {error['message']}"
            for error in report["generalDiagnostics"]
        ]

    def check(code):
        script = tmp_path / "user.py"
        script.write_text(code.lstrip())
        return {"mypy": mypy, "pyright": pyright}[checker](script)

    return check


@pytest.mark.slow
def test_a_checker_knows_the_verbs_and_rejects_a_misspelt_one_and_a_missing_argument(errors):
    misspelt, missing, revealed = errors(
        RIGHT + WRONG
    )  # at once: a checker takes seconds to read the package
    lines = (RIGHT + WRONG).lstrip().splitlines()
    assert misspelt.startswith(f"{lines.index('im.trian(p)') + 1}:")
    assert "trian" in misspelt
    assert missing.startswith(f"{lines.index('im.train()') + 1}:")
    assert "missing" in missing.lower()
    assert revealed.startswith(f"{len(lines)}:")
    assert "Project" in revealed
