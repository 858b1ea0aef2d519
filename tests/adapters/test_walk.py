"""docs/extending.md's "Add an adapter", to the letter:

Isthmus from its wheel, a third party's adapter of one port, no cloud SDK.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.tests.conformance.rows import PORTS

ROOT = Path(__file__).parents[2]
UV_FOLDERS = {"CACHE": ".cache", "CONFIG": ".config", "DATA": ".local/share"}
IGNORED = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def walk():
    """The shell lines of the section, in two: up to the suite's last run, and what follows."""
    section = (ROOT / "docs" / "extending.md").read_text().partition("## Add an adapter")[2]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy, so that building leaves nothing in ours."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("walk") / "isthmus", ignore=IGNORED)


@pytest.fixture(scope="module")
def shell(checkout):
    """Run lines in the copy, in the fresh environment once it is there; `ok=False`: they may fail."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ISTHMUS_", "PYTEST_", "VIRTUAL_ENV", "PYTHON"))
    }
    environ |= {
        "HOME": str(
            checkout.parent
        ),  # where the toy keeps its buckets; uv's own folders stay where they are
        **{
            f"XDG_{kind}_HOME": os.environ.get(f"XDG_{kind}_HOME", str(Path.home() / place))
            for kind, place in UV_FOLDERS.items()
        },
        "PATH": os.pathsep.join(
            [str(checkout / "dist/judge/bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "UV_CONSTRAINT": str(
            ROOT / "requirements.lock"
        ),  # its versions, and their digests are verified
        "UV_BUILD_CONSTRAINT": str(ROOT / "requirements.lock"),
    }

    def run(lines, *, folder=".", ok=True):
        done = subprocess.run(
            ["bash", "-ec", lines],
            cwd=checkout / folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def judged(shell):
    return shell(walk()[0]).stdout


@pytest.fixture(scope="module")
def used(shell, judged):
    return shell(walk()[1]).stdout


def python(shell, code, **more):
    return shell(f"python - <<'END'\n{code}\nEND", **more)


def test_one_ports_tests_run_and_each_port_that_is_lacking_is_one_refusal(judged):
    first, second = re.findall(r"(\d+) passed, \d+ deselected", judged)
    assert "failed" not in judged
    assert "error" not in judged
    assert int(second) > int(first) > len(PORTS)
    assert int(second) < 2 * int(first) + len(PORTS)


def test_the_wheel_holds_no_emulator_and_what_needs_one_names_the_line_that_installs_it(
    shell, used
):
    names = shell("unzip -Z1 dist/isthmus-*.whl || python -m zipfile -l dist/isthmus-*.whl").stdout
    assert "isthmus/core/runtime/stacks.py" in names
    assert "localstack" not in names
    for command in ("isthmus stack up aws", "isthmus stack coverage aws", "isthmus stack policy"):
        done = shell(command, folder="shop", ok=False)
        assert done.returncode == 1
        assert "an offline stack needs isthmus_stack" in done.stderr
        assert 'pip install "isthmus-stack[aws,gcp] @ git+' in done.stderr
    for quiet in (
        "isthmus stack down",
        "isthmus stack status",
    ):  # nothing of the project stands there
        assert shell(quiet, folder="shop").stdout == "no offline stack of this project runs\n"


def test_no_cloud_sdk_is_there(shell, judged):
    names = ("boto3", "moto", "google", "sagemaker", "isthmus_stack")
    there = python(
        shell, f"from importlib.util import find_spec\nprint([n for n in {names} if find_spec(n)])"
    )
    assert there.stdout.strip() == "[]"


def test_validate_has_a_line_for_it_and_doctor_too(used):
    assert re.search(
        r"^  toycloud +ok +its packages are here; credentials are checked by `plan`$",
        used,
        re.MULTILINE,
    )
    assert re.search(r"^toy +ok   ", used, re.MULTILINE)


def test_an_unknown_key_is_refused_with_a_guess(shell, used):
    lines = (
        "cp profiles.yaml kept; echo 'targets: {toy: {adapter: toycloud, buckt: toy://ranker}}' "
        "> profiles.yaml; isthmus validate"
    )
    done = shell(f"{lines} || (mv kept profiles.yaml; false)", folder="shop", ok=False)
    assert done.returncode == 1
    assert re.search(
        r"profiles.yaml:1 +targets.toy.buckt: buckt is not a key of a target of toycloud\n "
        r"+did you mean bucket\?",
        done.stderr,
    )
    assert "1 error; nothing was changed" in done.stderr


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (
            "isthmus plan --target toy --offline",
            "target toy: Toy Cloud has no offline stack in this version",
        ),
        (
            "isthmus plan --target toy",
            "target toy (toycloud) has no inventory: Toy Cloud does not support it yet",
        ),
        ("isthmus plan --target tot", "there is no target tot in profiles.yaml"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(shell, used, command, refusal):
    done = shell(command, folder="shop", ok=False)
    assert done.returncode == 1
    assert refusal in done.stderr


WRONG = {
    "a method of another type": (
        "options=Options()",
        """class Options:
    def keys(self) -> list[str]:
        return ["bucket"]""",
        'incompatible type "Options"; expected "Configured | None"',
    ),
    "a method that is lacking": (
        "priced=Prices()",
        """class Prices:
    def refresh(self, target: Target) -> None: ...""",
        'incompatible type "Prices"; expected "Priced | None"',
    ),
    "a name in place of an object": (
        'options="toycloud:OPTIONS"',
        "",
        'incompatible type "str"; expected "Configured | None"',
    ),
}


@pytest.mark.parametrize(("given", "hook", "refusal"), WRONG.values(), ids=WRONG)
def test_mypy_refuses_an_adapter_with_a_hook_that_is_not_its_protocol(
    shell, judged, given, hook, refusal
):
    module = f"""from isthmus.target import Adapter, Target
{hook}
ADAPTER = Adapter(name="toycloud", title="Toy Cloud", capabilities={{}}, ports={{}}, {given})
"""
    lines = f"""mkdir -p wrong; cat > wrong/adapter.py <<'END'
{module}END
mypy --strict --follow-imports=silent --python-executable dist/judge/bin/python --cache-dir wrong/cache wrong/adapter.py"""
    done = shell(lines, ok=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert refusal in done.stdout
    assert "Found 1 error in 1 file" in done.stdout


def test_a_job_of_it_opens_its_run_by_the_uri_alone(shell, used):
    uri = "toy://ranker/shop/runs/r1/run.json"
    put = (
        "import isthmus\nwith isthmus.open(target='toy') as project: "
        f"project.target.blobs.put({uri!r}, b'its run')"
    )
    python(shell, put, folder="shop")
    done = python(
        shell,
        f"from isthmus.core.runtime.project import open_blobs\nprint(open_blobs({uri!r}).get({uri!r}))",
    )
    assert done.stdout.strip() == "b'its run'"
