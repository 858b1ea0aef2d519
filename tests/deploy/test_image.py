"""deploy/Dockerfile and compose.yaml, read: no container engine is there where tests run."""

import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
LINES = [
    line
    for line in (DEPLOY / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    if re.match(r"[A-Z]+ ", line)
]


def test_the_base_is_named_by_a_digest_that_whoever_builds_must_give():
    """`${BASE}@${DIGEST}` without a digest, or with a tag for one, is no reference: nothing is
    built (tried with Buildah).
    """
    stages = {line.rpartition(" AS ")[2] for line in LINES if " AS " in line}
    bases = {line.split()[1] for line in LINES if line.startswith("FROM ")} - stages
    assert bases == {"${BASE}@${DIGEST}"}
    assert "ARG DIGEST" in LINES


def test_the_image_runs_as_a_user_of_its_own_who_owns_nothing_that_is_installed():
    last = LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM ")) :]
    assert last[-1] == "USER 10001"
    assert not any("chown" in line and "/opt/isthmus" in line for line in LINES)


def test_all_that_is_installed_in_the_image_has_a_digest_of_the_lock():
    (run,) = (line for line in LINES if line.startswith("RUN sed "))
    installs = [
        part.strip()
        for part in run.split("&&")
        if re.search(r"\$install|pip install", part) and "install=" not in part
    ]
    assert len(installs) == 4
    for command in installs:
        assert (
            re.search(r"\$locked|--require-hashes", command)
            or "--no-deps --no-build-isolation ." in command
        )
    assert 'locked="--require-hashes ' in run


def test_the_services_run_as_the_owner_of_the_project_on_a_base_of_that_digest():
    for service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values():
        assert service["user"].startswith("${PROJECT_OWNER:?")
        assert service["build"]["args"]["DIGEST"].startswith("${DIGEST:?")


def test_what_work_leaves_behind_is_not_sent_to_the_builder_from_any_folder():
    root = DEPLOY.parent
    ignored = (root / ".dockerignore").read_text().split()
    left = [line.rstrip("/") for line in (root / ".gitignore").read_text().split()]
    everywhere = {name for name in left if not name.startswith((".venv", ".cache", ".nox", ".cov"))}
    assert {f"**/{name}" for name in everywhere} - set(ignored) == set()
    assert {".git", ".venv*", ".cache", ".nox"} - set(ignored) == set()
