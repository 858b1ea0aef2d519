"""A power cut: every process ends, and of a folder what was synced is left (power_cut.c)."""

import contextlib
import ctypes
import mmap
import os
import random
import re
import shutil
import struct
from enum import Enum
from pathlib import Path

from isthmus.tests.faults.preloaded import syscalls
from isthmus.tests.faults.preloaded.acknowledged import STORES
from isthmus.tests.faults.preloaded.commands import Preloaded
from isthmus.tests.faults.serving import end_all

MUTANT = (
    "ISTHMUS_MUTANT"  # the variable that names a mutant (unsynced.py), for every process under test
)
_PAGE = 4096
_PASSING = re.compile(r"\.tmp-|\.compact-|\.lock$|/requests$|\.log$|^tmp$|\.staging$")


class Kept(Enum):
    """What the disk had of that which was not synced."""

    NOTHING = "nothing"  # neither content nor names: as POSIX says
    # files made, renamed and removed since, with the content that was synced: ext4 and XFS
    NAMES = "names"
    PAGES = "pages"  # names, and some of the pages


class Plan:
    """The file that power_cut.c shares between processes, and the image of what is durable."""

    FIELDS = struct.Struct("=qqq1024s1024s")

    def __init__(self, path):
        path.write_bytes(bytes(self.FIELDS.size))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.FIELDS.size)
        self.image, self.later = path.with_name("image"), path.with_name("later")
        self.library = None

    def arm(self, folder, at=0):
        """Take all below a folder as durable.

        `at`: the sync, from 1, before which the power fails; 0: when `cut` says so.
        """
        self.folder, self.before = folder.resolve(), None
        self._write(at, self.image)
        assert self.library.power_keep(bytes(self.folder), bytes(self.image)) == 0
        self.identity = self._identity(self.folder)

    @property
    def seen(self):
        """Syncs so far."""
        return self.FIELDS.unpack(self.memory)[0]

    @property
    def off(self):
        """Whether the power has failed."""
        return bool(self.FIELDS.unpack(self.memory)[2])

    def cut(self):
        """From now on nothing is durable any more, and who syncs dies."""
        self.memory[16:24] = struct.pack("=q", 1)

    def restore(self, kept):
        """Put what the disk has into the folder's place. Its processes are dead.

        May be called again, for another `kept`.
        """
        if self.before is None:
            self.before = self.folder.with_name(f"{self.folder.name}-before")
            shutil.rmtree(self.before, ignore_errors=True)
            self.folder.rename(self.before)
        else:
            shutil.rmtree(self.folder)
        chance = random.Random(kept.value)
        if kept is Kept.NOTHING:
            self._build(self.identity, self.folder)
        else:
            self._build_named(self.before, self.folder, chance if kept is Kept.PAGES else None)
        self._write(0, self.later)

    def _write(self, at, image):
        shutil.rmtree(image, ignore_errors=True)
        image.mkdir()
        self.memory[:] = self.FIELDS.pack(0, at, 0, bytes(self.folder), bytes(image))

    def _identity(self, path):
        name = ctypes.create_string_buffer(128)
        assert self.library.power_identity(bytes(path), name) == 0, path
        return name.value.decode()

    def _synced(self, identity):
        """The content, of a folder its entries; b"" where it was never synced."""
        path = self.image / identity
        return path.read_bytes() if path.exists() else b""

    def _build(self, identity, folder):
        folder.mkdir()
        for entry in self._synced(identity).split(b"\0")[:-1]:
            kind, mode, there, name = os.fsdecode(entry).split("\1")
            path = folder / name
            if kind == "d":
                self._build(there, path)
            elif kind == "l":
                path.symlink_to(there)
            else:
                path.write_bytes(self._synced(there))
            if kind != "l":
                path.chmod(int(mode, 8))

    def _build_named(self, before, folder, chance):
        folder.mkdir()
        for path in before.iterdir():
            place = folder / path.name
            if path.is_symlink():
                place.symlink_to(path.readlink())
                continue
            if path.is_dir():
                self._build_named(path, place, chance)
            elif path.is_file():
                content = self._synced(self._identity(path))
                place.write_bytes(
                    content if chance is None else _torn(content, path.read_bytes(), chance)
                )
            else:
                continue  # a socket
            place.chmod(path.stat().st_mode & 0o7777)


def _torn(old, new, chance):
    """The size of `new`, and of each page either the bytes that were synced or those that were not."""
    if old == new:
        return new
    old = old[: len(new)].ljust(len(new), b"\0")
    return b"".join(chance.choice((old, new))[at : at + _PAGE] for at in range(0, len(new), _PAGE))


class Commands(Preloaded):
    """Commands with power_cut.c in them, and the mutant that the environment names."""

    SOURCE, VARIABLE = Path(__file__).with_suffix(".c"), "ISTHMUS_POWER"

    def __init__(self, folder):
        self.prepared = {}
        mutated = (
            {"PYTHONPATH": str(Path(__file__).parent / "mutated")} if os.environ.get(MUTANT) else {}
        )
        super().__init__(folder, Plan(folder / "plan"), **mutated)
        library = self.plan.library = ctypes.CDLL(str(self.library))
        library.power_keep.argtypes = library.power_identity.argtypes = [
            ctypes.c_char_p,
            ctypes.c_char_p,
        ]


class Verb(syscalls.Verb):
    """A verb of a command line, after or in which the power fails."""

    def cut(self, at=0):
        """Cut the power before a sync (0: once the verb has answered), and look at what is left.

        AssertionError, for the first `Kept` where it is not as promised.
        """
        plan, command = self.commands.plan, self.case.command
        shop = self._copy("shop")
        try:
            plan.arm(shop.parent, at)
            ended = self.commands.run(shop, command)
            done = ended.code == 0 and not plan.off
            assert done or plan.off, f"{self.name}: {ended}"
            plan.cut()
            end_all(shop)
            for kept in Kept:
                plan.restore(kept)
                self._look(
                    shop,
                    done,
                    f"{self.name}, {kept.value} kept, cut "
                    f"{'after it answered' if done else f'before sync {at}'}:",
                )
                end_all(shop)
        finally:
            end_all(shop)

    def _world(self, folder):
        """Leave out what nobody promises to keep: locks, logs, what the next command sweeps."""
        world = super()._world(folder)
        return (
            world | {"files": [place for place in world["files"] if not _PASSING.search(place)]}
            if "files" in world
            else world
        )

    def _look(self, shop, done, place):
        self._settle(shop)
        if self.case.serving:
            self._world(shop)  # an endpoint starts again; a verb asks for one that is ready
        if done:
            self._compare(self._swept(self._world(shop)), f"{place} it said that it was done")
        self._again(shop, place)
        assert self._settle(shop) == [], f"{place} a run that was written is never started"
        self._compare(self._world(shop), f"{place} after running it again")


def lose(commands, name, folder, at=0):
    """Cut the power before a sync of a store's steps (0: after the last one), and look.

    What was acknowledged is there; what was not can be done again, and is there then. Return the
    number of syncs. AssertionError, for the first `Kept` where it is not so.
    """
    store, plan, place = STORES[name], commands.plan, folder / "place"
    place.mkdir()
    with contextlib.chdir(place):
        with store.opened(place) as opened:
            store.begin(opened)
        plan.arm(place, at)
        ended = commands.run(
            place, name, entry="isthmus.tests.faults.preloaded.acknowledged:perform"
        )
        done, syncs = ended.text.splitlines(), plan.seen
        assert plan.off or done == list(store.steps), f"{name}: {ended.text}"
        plan.cut()
    for kept in Kept:
        plan.restore(kept)
        try:
            with contextlib.chdir(place), store.opened(place) as opened:
                _look(store.steps, done, opened)
        except Exception as error:
            when = f"before sync {at}" if at else "at the end"
            raise AssertionError(
                f"{name}, {kept.value} kept, cut {when}, acknowledged {done}: {error}"
            ) from error
    shutil.rmtree(place)
    shutil.rmtree(plan.before)
    return syncs


def _look(steps, done, opened):
    for name in done:
        assert steps[name].is_done(opened), f"{name} is lost"
    for name, step in steps.items():
        assert step.is_whole(opened), f"{name} is there in part"
    for name in (name for name in steps if name not in done):
        steps[name].do(opened)
    for name, step in steps.items():
        assert step.is_done(opened), f"{name} is not done when it is done again"
