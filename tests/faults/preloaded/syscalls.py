"""Verbs that are disturbed at the system's own calls (syscalls.c): which call, and what must be the
same after running the verb again.
"""

import contextlib
import mmap
import shutil
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import isthmus as im
from isthmus.adapters.local.warehouse import upkeep
from isthmus.errors import NotFound
from isthmus.tests.cli.running import create, tree
from isthmus.tests.faults.flow import RELATIONS, digest, settle
from isthmus.tests.faults.preloaded.commands import Preloaded
from isthmus.tests.faults.serving import end_all, serving_project, standing

TRAINED = ("apply", "ingest", "materialize", "train models/history.yaml")
DEPLOY, START = "deploy home --yes", "rollout start home --no-controller --yes"


class Case(NamedTuple):
    """A verb, and the commands that go before it: once, in the project that is copied, and in each
    copy (they leave processes).

    `serving`: the project has two versions, an endpoint with a rollout and an experiment.
    `already`: how the verb refuses what is done.
    """

    command: list[str]
    before: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    serving: bool = False
    already: str | None = None


VERBS = {
    "init": Case(["init", "shop", "--example", "starter"], already="is not empty"),
    "init-here": Case(["init", ".", "--example", "starter"], already="is not empty"),
    "apply": Case(["apply"]),
    "ingest": Case(["ingest"], ("apply",)),
    "materialize": Case(["materialize"], ("apply", "ingest")),
    "train": Case(["train", "models/history.yaml"], TRAINED[:3]),
    "promote": Case(
        ["models", "promote", "ranker@1", "--alias", "challenger", "--because", "it is liked"],
        TRAINED,
    ),
    "note": Case(["runs", "note", "r1", "the first"], TRAINED),
    "destroy": Case(["destroy", "--yes"], TRAINED[:3]),
    "deploy": Case(DEPLOY.split(), serving=True),
    "traffic": Case(["traffic", "home", "challenger=20", "--yes"], live=(DEPLOY,), serving=True),
    "rollout-start": Case(
        START.split(), live=(DEPLOY,), serving=True, already="one rollout at a time"
    ),
    "rollout-abort": Case(
        ["rollout", "abort", "home", "--timeout", "2m"], live=(DEPLOY, START), serving=True
    ),
    "experiment-start": Case(["experiment", "start", "order"], live=(DEPLOY,), serving=True),
    "experiment-ramp": Case(
        ["experiment", "ramp", "order", "50"], live=("experiment start order",), serving=True
    ),
    "experiment-stop": Case(
        ["experiment", "stop", "order", "--because", "enough"],
        live=("experiment start order",),
        serving=True,
    ),
    "destroy-served": Case(["destroy", "--yes"], live=(DEPLOY,), serving=True),
}
ENDED = 1  # a verb that met an error
LATE = 5  # an abort goes on until its time is over, as the disk may have room again
KILLED = -9


class Kind(IntEnum):
    """What happens to the call, as syscalls.c numbers it."""

    NONE = 0
    KILL = 1  # the process dies before it
    TEAR = 2  # half of its bytes are written, then the process dies
    FULL = 3  # no space is left for it and all after it
    BROKEN = 4  # EIO, once


class Plan:
    """The file that syscalls.c shares between the processes of a verb, and this one."""

    FIELDS = struct.Struct("=qqqq1024s1024s")

    def __init__(self, path):
        path.write_bytes(bytes(self.FIELDS.size))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.FIELDS.size)

    def arm(self, folder, kind=Kind.NONE, at=0):
        root = str(folder.resolve()).encode()
        self.memory[:] = self.FIELDS.pack(0, at, kind, len(root), root, b"")

    @property
    def seen(self):
        """Calls so far."""
        return self.FIELDS.unpack(self.memory)[0]

    @property
    def hit(self):
        """`operation path` of the call that was disturbed; empty when none was."""
        return self.FIELDS.unpack(self.memory)[-1].rstrip(b"\0").decode()


class Commands(Preloaded):
    """Commands with syscalls.c in them."""

    SOURCE, VARIABLE = Path(__file__).with_suffix(".c"), "ISTHMUS_SYSCALLS"

    def __init__(self, folder):
        self.prepared = {}
        super().__init__(folder, Plan(folder / "plan"))


class Verb:
    """A verb, the project before it, and the world after it when nothing disturbs it."""

    def __init__(self, name, commands, folder):
        self.name, self.commands, self.folder = name, commands, folder
        self.case = VERBS[name]
        self.before = self._before()
        calm = self._copy("calm")
        self._well(calm, self.case.command)
        self._settle(calm)
        self.calls = commands.plan.seen
        self.wanted = self._world(calm)
        end_all(calm)

    def disturbed(self, kind, at):
        """Disturb a call, run the verb again, and compare: what was hit, or "" when the verb makes
        fewer calls. AssertionError.
        """
        shop = self._copy("shop")
        try:
            return self._disturbed(shop, kind, at)
        finally:
            end_all(shop)

    def _disturbed(self, shop, kind, at):
        self.commands.plan.arm(shop.parent, kind, at)
        ended = self.commands.run(shop, self.case.command)
        self._settle(shop)
        hit = self.commands.plan.hit
        self.commands.plan.arm(shop.parent)
        place = f"{self.name}, {kind.name} at {at} ({hit}):"
        assert ended.code in (0, ENDED, KILLED, LATE), (
            f"{place} exit code {ended.code}\n{ended.text}"
        )
        assert "a mistake in Isthmus" not in ended.text, f"{place} {ended.text}"
        assert "Traceback" not in ended.text, f"{place} {ended.text}"
        if ended.code == 0:
            self._compare(
                self._swept(self._world(shop)),
                f"{place} it said that it was done, and\n{ended.text}",
            )
        self._again(shop, place)
        assert self._settle(shop) == [], (
            f"{place} a run that was written is never started\n{ended.text}"
        )
        self._compare(self._world(shop), f"{place} after running it again, and\n{ended.text}")
        return hit

    def _before(self):
        """Projects of the same commands are one, whatever the verb."""
        case, prepared = self.case, self.commands.prepared
        key = (case.before, case.serving, case.command[0] == "init")
        if key not in prepared:
            folder = prepared[key] = self.commands.folder / f"before-{len(prepared)}"
            if case.command[0] == "init":
                folder.mkdir()
            elif case.serving:
                serving_project(folder, lambda command: self._well(folder, command))
            else:
                create(folder)
                for command in case.before:
                    self._well(folder, command.split())
            self._settle(folder)
        return prepared[key]

    def _world(self, folder):
        return tree(folder.parent) if self.case.command[0] == "init" else world(folder)

    def _swept(self, seen):
        """Without what an endpoint's process that was killed left, and another started again: the
        next command sweeps it.
        """
        return (
            seen | {"files": [place for place in seen["files"] if ".tmp-" not in place]}
            if self.case.serving
            else seen
        )

    def _again(self, folder, place):
        ended = self.commands.run(folder, self.case.command)
        done = self.case.already is not None and self.case.already in ended.text
        assert ended.code == 0 or done, (
            f"{place} {' '.join(self.case.command)} -> {ended.code}\n{ended.text}"
        )

    def _copy(self, name):
        shutil.rmtree(self.folder / name, ignore_errors=True)
        copy = shutil.copytree(self.before, self.folder / name / "project")
        for command in self.case.live:
            self._well(copy, command.split())
        self.commands.plan.arm(copy.parent)
        return copy

    def _settle(self, folder):
        return settle(folder) if (folder / "project.yaml").exists() else []

    def _well(self, folder, command, place=""):
        ended = self.commands.run(folder, command)
        assert ended.code == 0, f"{place} {' '.join(command)} -> {ended.code}\n{ended.text}"

    def _compare(self, seen, place):
        wrong = {
            key: (seen.get(key), self.wanted.get(key)) for key in seen.keys() | self.wanted.keys()
        }
        wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
        assert not wrong, f"{place}\n" + "\n".join(
            f"{key}: {_difference(*pair)}" for key, pair in wrong.items()
        )


def _difference(seen, wanted):
    """Two values in words; of two lists of names what is in one of them alone."""
    if (
        isinstance(seen, list)
        and isinstance(wanted, list)
        and all(isinstance(name, str) for name in seen + wanted)
    ):
        return (
            f"{sorted(set(seen) - set(wanted))} too many, {sorted(set(wanted) - set(seen))} missing"
        )
    return f"{seen} instead of {wanted}"


def world(folder):
    """All that a later command can see of a project: rows by digest, online rows, versions,
    endpoints, state, files, damage.
    """
    with im.open(folder / "project.yaml") as project:
        target, seen = project.target, {}
        for name in RELATIONS:
            if target.warehouse.observe(name) is not None:
                seen[name] = digest(target.warehouse.query(f"SELECT * FROM {name}", {}))
        with contextlib.suppress(NotFound):
            seen["online"] = digest(
                target.online.get({"item_history": [str(key) for key in range(12)]})["item_history"]
            )
        versions = target.registry.versions("ranker")
        seen["versions"] = [(v.version, v.digest, sorted(v.aliases)) for v in versions]
        seen["resources"] = sorted(
            (r.kind, r.name) for r in target.inventory.list(project.spec.name)
        )
        # a history's newest lines wait in the document that they are of until somebody looks:
        # `standing` reads them as people do
        seen["state"] = [key for key in target.state.keys("") if "/history/" not in key]
        seen["views"] = [target.state.get(key).value for key in target.state.keys("views/")]
        examined = upkeep.examine(target)
        seen["damage"] = (examined.problems, examined.notes)
        seen["standing"] = standing(project)
    seen["notes"] = [path.read_text() for path in sorted(folder.glob(".isthmus/runs/*/notes.json"))]
    seen["files"] = sorted(set(files(folder / ".isthmus")))  # a log may begin another hour's file
    return seen


def files(home):
    """Places of files and folders, without those of runs (a failed one has a number of its own),
    SQLite's own, the lock, a log's hour.
    """
    for path in home.rglob("*"):
        place = path.relative_to(home)
        if place.parts[0] == "runs":
            if "tmp" in path.name:
                yield str(place)
        elif place.parent.name == "requests":
            yield str(place.parent)
        elif not place.name.startswith(("local.db", "lock")) and (
            path.is_file() or ".staging" in place.parts or "tmp" in place.parts
        ):
            yield str(place)
