"""requirements.lock: it holds all that our projects require, each line by digests; and what make
check says of what differs from it.
"""

import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECTS = [
    tomllib.loads((ROOT / file).read_text())
    for file in (ROOT / ".ci" / "projects").read_text().split()
]


def entries():
    """The requirement and the digests of each entry."""
    for entry in re.split(r"\n(?=\S)", LOCK.strip()):
        if not entry.startswith("#"):
            requirement, *digests = re.split(r" \\\n\s+", entry)
            yield Requirement(requirement), digests


def locked():
    return {canonicalize_name(requirement.name): requirement for requirement, _ in entries()}


def test_every_entry_has_one_version_and_digests_and_the_lock_names_no_index():
    assert len(list(entries())) > 200
    for requirement, digests in entries():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert digests, requirement
        assert [
            digest for digest in digests if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest)
        ] == []
    assert "://" not in LOCK


def required(project):
    """What a project requires with all its extras and groups, and to be built, without its own
    name.
    """
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in (
        project["project"].get("optional-dependencies", {}),
        project.get("dependency-groups", {}),
    ):
        texts += [text for texts in group.values() for text in texts]
    own = {canonicalize_name(project["project"]["name"]) for project in PROJECTS}
    return [
        requirement
        for requirement in map(Requirement, texts)
        if canonicalize_name(requirement.name) not in own
    ]


def test_all_that_our_projects_require_and_what_that_requires_is_locked():
    """By the metadata of what is installed, extras and markers considered."""
    lock, excluded = (
        locked(),
        {
            name
            for project in PROJECTS
            for name in project["tool"].get("uv", {}).get("exclude-dependencies", [])
        },
    )
    todo = [
        (requirement, extra)
        for project in PROJECTS
        for requirement in required(project)
        for extra in ("", *requirement.extras)
    ]
    seen = set()
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in excluded:
            continue
        assert name in lock, f"{requirement} is required and not locked: make lock"
        assert requirement.specifier.contains(str(lock[name].specifier)[2:], prereleases=True), (
            f"{requirement}: locked is {lock[name]}"
        )
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            texts = requires(name) or []
        except PackageNotFoundError:  # where the suite runs with less than all of it
            continue
        for needed in map(Requirement, texts):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                todo += [(needed, part) for part in ("", *needed.extras)]
    assert len(seen) > len(PROJECTS)


@pytest.fixture(scope="module")
def check():
    pytest.importorskip(
        "license_expression", reason="the tools of make check are not installed: make setup"
    )
    return runpy.run_path(str(ROOT / ".ci" / "dependencies.py"))


def component(name, *licences, version="1"):
    shown = [
        {"expression": licence} if " " in licence else {"license": {"id": licence}}
        for licence in licences
    ]
    return {"name": name, "version": version, "licenses": shown}


@pytest.mark.parametrize(
    ("licences", "allowed"),
    [
        (["MIT"], True),
        (["GPL-3.0-only"], False),
        ([], False),
        (["MIT", "GPL-3.0-only"], False),
        (["GPL-3.0-only OR MIT"], True),
        (["MIT AND (GPL-3.0-only OR Apache-2.0 WITH LLVM-exception)"], True),
        (["MIT AND GPL-3.0-only"], False),
        (["words of a licence that nobody knows"], False),
    ],
)
def test_a_licence_that_is_not_allowed_is_named_with_its_package(check, licences, allowed):
    refused = [
        line
        for line in check["licences_refused"]([component("some-package", *licences)])
        if "some-package" in line
    ]
    assert (not refused) == allowed
    assert all(licence in line for line in refused for licence in licences)


def test_a_line_of_the_licences_that_no_package_needs_is_named(check):
    assert any(
        line.startswith("paramiko: licences.toml has a line")
        for line in check["licences_refused"]([])
    )


def test_what_is_installed_beside_the_lock_or_in_another_version_is_named(check):
    lines = check["not_as_locked"]([component("stray-package"), component("click", version="0.1")])
    assert "stray-package: locked is none, installed 1; make setup installs what is locked" in lines
    assert any(re.fullmatch(r"click: locked is [\d.]+, installed 0\.1; .*", line) for line in lines)
    assert any(re.fullmatch(r"numpy: locked is [\d.]+, installed none; .*", line) for line in lines)


def test_a_package_with_another_digest_than_the_locks_is_not_installed(tmp_path):
    """A wheel of a name and version that are locked, with other bytes in it."""
    entry = next(entry for entry in re.split(r"\n(?=\S)", LOCK) if entry.startswith("idna=="))
    (tmp_path / "requirements.lock").write_text(entry + "\n")
    name = re.match(r"idna==[\d.]+", entry)[0].replace("==", "-")
    with ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("idna/__init__.py", "print('not the one')")
        wheel.writestr(
            f"{name}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: idna\nVersion: {name[5:]}\n",
        )
        wheel.writestr(
            f"{name}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    uv = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "sync",
        "--no-cache",
        "--target",
        tmp_path / "there",
    ]
    done = subprocess.run(
        [
            *uv,
            "--require-hashes",
            "--no-index",
            "--find-links",
            tmp_path,
            tmp_path / "requirements.lock",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "Hash mismatch for `idna" in done.stderr, done.stderr
    assert not (tmp_path / "there" / "idna").exists()
