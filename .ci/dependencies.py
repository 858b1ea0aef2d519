"""Compare the lock with what is installed, and each licence with those of licences.toml.

Write the SBOM of it, into build/sbom.cdx.json.

The lock is also made anew, which needs the package index: it must say what is locked already.
"""

from __future__ import annotations

import difflib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from boolean import Expression
from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
SBOM = ROOT / "build" / "sbom.cdx.json"
LICENCES = ROOT / ".ci" / "licences.toml"
PROJECTS = [ROOT / line for line in (ROOT / ".ci" / "projects").read_text().split()]


def main() -> int:
    """Print a line for each difference. Return 1 if there is one."""
    components = write_sbom()
    differences = [*lock_is_stale(), *not_as_locked(components), *licences_refused(components)]
    print(*differences, sep="\n")
    if not differences:
        print(f"{len(components)} packages are installed as locked, and their licences are allowed")
    return bool(differences)


def write_sbom() -> list[dict[str, Any]]:
    """Write the SBOM of this interpreter's environment.

    Return its components but for our own projects.
    """
    SBOM.parent.mkdir(exist_ok=True)
    command = [
        "cyclonedx-py",
        "environment",
        "--no-validate",
        "--output-reproducible",
        "--pyproject",
        ROOT / "pyproject.toml",
    ]
    subprocess.run(
        [*command, "--output-file", SBOM, sys.executable], check=True, capture_output=True
    )  # its schema takes 15 s of CPU
    own = {
        canonicalize_name(tomllib.loads(file.read_text())["project"]["name"]) for file in PROJECTS
    }
    components = json.loads(SBOM.read_text())["components"]
    return [
        component for component in components if canonicalize_name(component["name"]) not in own
    ]


def lock_is_stale() -> list[str]:
    """Return what `make lock` would change in the lock, as lines of a diff, or why it cannot be
    made.
    """
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / LOCK.name
        shutil.copy(LOCK, fresh)
        made = subprocess.run(
            [ROOT / ".ci" / "lock", fresh], capture_output=True, text=True, check=False
        )
        if made.returncode:
            return [
                f"requirements.lock could not be made anew, to compare it: {made.stderr.strip()}"
            ]
        changes = difflib.unified_diff(
            LOCK.read_text().splitlines(),
            fresh.read_text().splitlines(),
            LOCK.name,
            "`make lock`",
            lineterm="",
            n=0,
        )
        return list(changes)


def not_as_locked(components: list[dict[str, Any]]) -> list[str]:
    """Return a line for each package of the SBOM or the lock that the other lacks, or has in
    another version.
    """
    lines = [
        line.removesuffix("\\") for line in LOCK.read_text().splitlines() if line[:1].isalnum()
    ]
    locked = {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate()
    }
    installed = {
        canonicalize_name(component["name"]): component["version"] for component in components
    }
    return [
        f"{name}: locked is {locked.get(name, 'none')}, installed "
        f"{installed.get(name, 'none')}; make setup installs what is locked"
        for name in sorted({*locked, *installed})
        if locked.get(name) != installed.get(name)
    ]


def licences_refused(components: list[dict[str, Any]]) -> list[str]:
    """Return a line for each package whose licence licences.toml does not allow, and for each of
    its lines that nothing needs.
    """
    rules = tomllib.loads(LICENCES.read_text())
    allowed, read, excepted = set(rules["allowed"]), rules["read"], rules["excepted"]
    refused, used = [], set()
    for component in components:
        name = canonicalize_name(component["name"])
        licences = [
            entry.get("expression") or entry["license"].get("id") or entry["license"]["name"]
            for entry in component.get("licenses", [])
        ]
        if licences and all(_allows(allowed, licence) for licence in licences):
            continue
        used.add(name)
        if name not in excepted and not (name in read and _allows(allowed, read[name])):
            refused.append(
                f"{name}: its licence, "
                f"{' and '.join(licences) or 'of which its metadata says nothing'}, is not "
                f"in {LICENCES.name}"
            )
    needless = sorted({*read, *excepted} - used)
    return refused + [
        f"{name}: {LICENCES.name} has a line that it does not need" for name in needless
    ]


def _allows(allowed: set[str], licence: str) -> bool:
    """Return whether we may use what is licensed so: all of an AND, one of an OR."""
    if licence in allowed:
        return True
    try:
        return _holds(allowed, get_spdx_licensing().parse(licence))
    except ExpressionError:  # words, no expression
        return False


def _holds(allowed: set[str], expression: Expression) -> bool:
    operator = getattr(expression, "operator", None)
    if operator is None:
        return str(expression) in allowed
    parts = (_holds(allowed, part) for part in expression.args)
    return all(parts) if operator.strip() == "AND" else any(parts)


if __name__ == "__main__":
    sys.exit(main())
