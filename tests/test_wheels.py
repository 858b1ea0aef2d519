"""Both wheels, built from a checkout in which people have worked, and used outside of it: in fresh
environments made by uv, from folders that know nothing of the checkout.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
LOCK = ROOT / "requirements.lock"
IGNORED = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
LEFTOVERS = (
    "build/lib/isthmus/removed.py",  # of an earlier build
    "core/.isthmus/lock",
    "deploy/__pycache__/tick.cpython-311.pyc",
    "examples/ratings/data/viewings.csv",
    "examples/shop/.isthmus/lock",
    "examples/shop/__pycache__/ranker.cpython-311.pyc",
    "examples/starter/.pytest_cache/README.md",
    "localstack/build/lib/isthmus_stack/removed.py",
    "localstack/aws/.isthmus/lock",
)
CELLS = """
import ast, json
from pathlib import Path
import isthmus as im

cells = json.loads((Path(im.__file__).parent / "examples/openbandit/notebook.ipynb").read_text())["cells"]
names, shown = {}, 0
try:
    for cell in cells:
        if cell["cell_type"] == "code" and "often" not in cell["metadata"].get("tags", ()):
            body = ast.parse("".join(cell["source"])).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), "cell", "exec"), names)
            result = last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            shown += bool(getattr(result, "_repr_html_", str)())
finally:
    if "project" in names:
        im.destroy(names["project"])
print("shown", shown)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not UV.exists(), reason="uv builds and installs"),
]


def call(*command, ok=True, **more):
    """Run a command without our settings, and return what it printed."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ISTHMUS_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"))
    }
    environ |= {"UV_CONSTRAINT": str(LOCK), "UV_BUILD_CONSTRAINT": str(LOCK)}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        **more,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder of both packages' wheels and source distributions.

    Those of `straight/` are built from the folder itself, not by way of a source distribution.
    """
    folder = tmp_path_factory.mktemp("wheels")
    checkout = shutil.copytree(ROOT, folder / "checkout", ignore=IGNORED)
    for name in LEFTOVERS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left\n")
    for package in (checkout, checkout / "localstack"):
        call(UV, "build", "--quiet", "--wheel", "--out-dir", folder / "straight", package)
        call(UV, "build", "--quiet", "--out-dir", folder, package)
    return folder


@pytest.fixture(scope="module")
def environment(dist):
    """Make an environment of wheels, and return the folder of its commands."""

    def make(name, *packages):
        call(UV, "venv", "--quiet", "--python", sys.executable, dist / name)
        python = dist / name / "bin" / "python"
        call(UV, "pip", "install", "--quiet", "--python", python, *packages)
        return python.parent

    return make


def wheel(dist, package, extras=""):
    (built,) = dist.glob(f"{package}-*.whl")
    return f"{package.replace('_', '-')}{extras} @ {built.as_uri()}"


def packed(archive):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            return set(file.namelist())
    with tarfile.open(archive) as file:
        return {name.partition("/")[2] for name in file.getnames()}


def test_no_archive_holds_what_work_left_behind(dist):
    archives = [*dist.rglob("*.whl"), *dist.glob("*.tar.gz")]
    assert len(archives) == 6
    for archive in archives:
        left = re.compile(
            r"(^|/)(\.(isthmus|pytest_cache|hypothesis)|__pycache__|build)(/|$)|removed"
        )
        assert [name for name in packed(archive) if left.search(name)] == []


def test_a_wheel_is_the_same_whether_or_not_it_is_built_from_the_source_distribution(dist):
    for straight in (dist / "straight").glob("*.whl"):
        assert packed(straight) == packed(dist / straight.name)


def test_the_wheel_holds_examples_and_deploy_whole_and_what_the_image_is_built_from(dist):
    listed = subprocess.run(
        ["git", "ls-files", "examples", "deploy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    (built,) = dist.glob("isthmus-*.whl")
    wanted = {f"isthmus/{name}" for name in listed if not Path(name).name.startswith(".")}
    context = {"LICENSE", "README.md", "pyproject.toml", "requirements.lock", "setup.py"}
    assert (wanted | {f"isthmus/{name}" for name in context}) - packed(built) == set()


def test_both_packages_carry_the_same_licence(dist):
    for built in dist.glob("*.whl"):
        with zipfile.ZipFile(built) as file:
            (name,) = (name for name in file.namelist() if name.endswith("licenses/LICENSE"))
            assert file.read(name) == (ROOT / "LICENSE").read_bytes()


def test_a_demo_names_what_is_missing_before_it_begins_and_runs_once_that_line_was_run(
    dist, environment, tmp_path
):
    programs = environment("laptop", wheel(dist, "isthmus"))
    refusal = call(programs / "isthmus", "demo", ok=False, cwd=tmp_path)
    assert "the demo needs sklearn, matplotlib, pandas" in refusal
    assert list(tmp_path.iterdir()) == []
    (line,) = re.findall(r"pip install \"(.*)\"", refusal)
    call(UV, "pip", "install", "--quiet", "--python", programs / "python", line)
    shown = call(programs / "isthmus", "demo", "--example", "shop", cwd=tmp_path)
    assert re.search(r"^done in \d+ s", shown, re.MULTILINE)
    (tmp_path / "notebook").mkdir()
    call(programs / "isthmus", "init", "shop", "--example", "openbandit", cwd=tmp_path / "notebook")
    printed = call(programs / "python", "-c", CELLS, cwd=tmp_path / "notebook" / "shop")
    assert int(printed.split()[-1]) > 5


def test_scripts_of_the_wheel_bring_a_project_to_both_stacks(dist, environment, tmp_path):
    """Jobs, model servers and GoogleSQL run from the wheels."""
    programs = environment(
        "clouds",
        wheel(dist, "isthmus", "[demo,sagemaker,vertex]"),
        wheel(dist, "isthmus_stack", "[aws,gcp]"),
    )
    call(programs / "python", "-m", "isthmus_stack.gcp.googlesql")
    call(programs / "isthmus", "init", "mine", "--example", "starter", cwd=tmp_path)
    deploy = next((dist / "clouds").glob("lib/*/site-packages/isthmus/deploy"))
    try:
        for target in ("sagemaker", "vertex"):
            shown = call(
                programs / "python",
                deploy / f"{target}.py",
                "--offline",
                "--yes",
                cwd=tmp_path / "mine",
            )
            assert "20 of 20 requests answered" in shown
    finally:
        call(programs / "isthmus", "stack", "down", cwd=tmp_path / "mine")


def test_the_installed_folder_is_the_one_that_the_image_is_built_from(dist, environment, tmp_path):
    """deploy/Dockerfile copies its context and installs it: so may who has the wheel alone."""
    programs = environment("image", "--no-deps", wheel(dist, "isthmus"))
    (installed,) = programs.parent.glob("lib/*/site-packages/isthmus")
    context = shutil.copytree(installed, tmp_path / "context")
    call(UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, context)
    (again,), (built,) = tmp_path.glob("*.whl"), dist.glob("isthmus-*.whl")
    assert packed(again) == packed(built)
