"""The user's state folder: the project folders that this user has made or trusted.

It also holds what is stored for each of them.

`.isthmus` lies in a project, so a clone or an archive may bring one, with records that name
processes, ports, commands and modules. Nothing of it is used unless the id in it stands here, too,
where only the user writes: `$XDG_STATE_HOME/isthmus`, else `~/.local/state/isthmus`.

    projects/<id>/project.json      where the folder with that id was last seen
    projects/<id>/stack/            the offline stacks of that project: core/runtime/stacks.py
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import IO

import msgspec
from msgspec.structs import replace

from ..errors import Denied, IsthmusError, Refused
from .durable import make_folder, sync_folder
from .formats import StoredDocument, decode
from .git_index import tracked_below

FOLDER = ".isthmus"  # of a project; its folder of the laptop's target may have another name
ID = "id"  # the file in it
_ID_NEW = "id.new"  # while it is written
_ID = re.compile(r"[0-9a-f]{32}")
# What is made again by the next command that needs it. All else on the laptop (local.db,
# counters.db, warehouse/, runs/, models/, raw/, ...) is what was stored, and may be the only copy.
_DERIVED = frozenset({"lock", "reports", "rehearsal", "rollouts", "stack", "starting", "tmp"})
_TRACEBACK = "traceback-"
_NAMED = 6  # entries that a message names


class KnownFolder(StoredDocument, frozen=True, kw_only=True):
    """The place where a folder with an id of ours was last seen.

    The inode tells an original from its copy.
    """

    folder: str
    inode: int
    projects: tuple[
        str, ...
    ] = ()  # of a folder outside of its project: the projects that keep things in it


def root() -> Path:
    """Return the folder of the user's own state (~/.local/state/isthmus), which may not exist.

    Raises:
        Denied: This user has no home folder.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if not Path(base).is_absolute():
        try:
            base = str(Path.home() / ".local" / "state")
        except RuntimeError as error:
            raise Denied(
                "this user has no home folder, where Isthmus keeps which projects are known",
                remedy=_ELSEWHERE,
            ) from error
    return Path(base) / "isthmus"


_ELSEWHERE = "set XDG_STATE_HOME to a folder of your own that stays"


def kept_for(number: str) -> Path:
    """Return the folder, in the user's state, that keeps data of the project with this id."""
    return root() / "projects" / number


def known_id(folder: Path, *, project: Path | None = None) -> str | None:
    """Return the id under which a project's `.isthmus` folder (or one below it) is trusted.

    None: it is not there, or nothing is in it.

    "" of a copy that cannot be written to: it can only be read. A copy is given an id of its own.

    Args:
        folder: the folder.
        project: whose profiles.yaml named it. Unless it is that project's own `.isthmus`, nobody is
            advised to remove it: a clone may name any folder.

    Raises:
        Refused: this user's state folder does not know it, it is a symbolic link, or git tracks
            files in it.
    """
    folder = _state_folder_of(folder)
    try:
        status = folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    key = (str(root()), str(folder), status.st_dev, status.st_ino, *_id_file_version(folder))
    if (number := _known.get(key)) is not None:
        return number
    _require_folder(folder, status)
    entries = {path.name for path in folder.iterdir()} - {ID, _ID_NEW}
    number = _read_id(folder)
    record = _record(number)
    if not entries and record is None:  # whoever made it was stopped before it was known
        return None
    own = folder.name == FOLDER and (
        project is None or folder == _state_folder_of(project / FOLDER)
    )
    _require_untracked(folder, removable=own)
    if number is None or record is None:
        raise _unknown(folder, entries, removable=own)
    number = _registered_id(folder, number, record, status.st_ino)
    _make_private(folder, status)
    _known[str(root()), str(folder), status.st_dev, status.st_ino, *_id_file_version(folder)] = (
        number
    )
    return number


_known: dict[tuple[object, ...], str] = {}  # by what changes with the folder: every port asks


def is_known(folder: Path) -> bool:
    """Return whether a project's state folder exists and is trusted, without raising an error."""
    try:
        return known_id(folder) is not None
    except (IsthmusError, OSError):
        return False


def is_derived(name: str) -> bool:
    """Return whether a file in `.isthmus` can be deleted safely, as it is regenerated.

    `name` is its name at the top of the folder.
    """
    return name in _DERIVED or name.startswith(_TRACEBACK)


def make(folder: Path) -> Path:
    """Create a project's `.isthmus`, or a folder below it, private to this user and trusted.

    Raises:
        Refused: The folder exists and is not trusted; see `known_id`.
    """
    if known_id(folder) is None:
        whole = _state_folder_of(folder)
        with _exclusive():
            if known_id(whole) is None:
                _register(whole)
    make_folder(folder, mode=0o700)
    return folder


def trust(folder: Path) -> str:
    """Register an existing folder as trusted, and return its id.

    The id is new unless the folder is known already, or cannot be written to.

    Raises:
        Refused: it is a symbolic link, or git tracks files in it.
        Denied: it has no id, and cannot be given one.
    """
    _require_folder(folder, folder.lstat())
    _require_untracked(folder, removable=folder.name == FOLDER)
    with _exclusive():
        if not is_known(folder):
            try:
                _register(folder)
            except OSError as error:
                # another user's, or on a disk that can only be read: it keeps the id that it has
                number = _read_id(folder)
                if number is None:
                    words = f"{folder} has no id and cannot be given one: {error.strerror}"
                    raise Denied(words, remedy="copy the project to where you may write") from error
                _write_record(
                    number, KnownFolder(folder=os.path.realpath(folder), inode=folder.stat().st_ino)
                )
        return known_id(folder) or ""


def claim(home: Path, project: Path, *, trusted: bool = False) -> None:
    """Reserve a data folder outside of a project for that project, against other projects.

    Raises:
        Refused: it is another project's. A clone's profiles.yaml may name any folder of this
            machine.
    """
    number, place = known_id(home, project=project), os.path.realpath(project)
    record = _record(number)
    if (
        number is None
        or record is None
        or Path(record.folder).is_relative_to(place)
        or place in record.projects
    ):
        return
    if not trusted and (record.projects or Path(record.folder).name == FOLDER):
        raise Refused(
            f"{home} is kept for {', '.join(record.projects) or Path(record.folder).parent}, and "
            f"{project} names it as its own; nothing of it was read",
            remedy="if both projects are yours: isthmus trust; else name another `home` in "
            "profiles.yaml",
        )
    with _exclusive(), suppress(OSError):
        _write_record(
            number, replace(_record(number) or record, projects=(*record.projects, place))
        )


def forget(folder: Path) -> None:
    """Delete what is stored about a trusted state folder, which is about to be deleted."""
    if number := known_id(folder):
        shutil.rmtree(kept_for(number), ignore_errors=True)


def _state_folder_of(folder: Path) -> Path:
    """Return the `.isthmus` folder that a path is in or is itself; the path if there is none."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100  resolve() would follow the very link that is refused
    return next(
        (place for place in (absolute, *absolute.parents) if place.name == FOLDER), absolute
    )


def _id_file_version(folder: Path) -> tuple[int, int]:
    """Return the inode and modification time of a folder's id file; both change on rewriting."""
    try:
        status = (folder / ID).lstat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _require_folder(folder: Path, status: os.stat_result) -> None:
    """Raise Refused if a project's state folder is a symbolic link or no folder."""
    if stat.S_ISLNK(status.st_mode):
        raise Refused(
            f"{folder} is a symbolic link, to {folder.readlink()}: a project could so lead into "
            "another one's folder. Nothing there was read",
            remedy="remove the link; where the laptop's data is to be elsewhere, profiles.yaml "
            "says so: targets: {local: {home: FOLDER}}",
        )
    if not stat.S_ISDIR(status.st_mode):
        raise Refused(
            f"{folder} is not a folder; it was not read",
            remedy="remove it: the next command makes the folder",
        )


def _require_untracked(folder: Path, *, removable: bool) -> None:
    """Raise Refused if git tracks files in a state folder, as a commit could so run commands.

    `removable` says whether the error may advise to remove the folder.
    """
    names = tracked_below(Path(os.path.realpath(folder.parent)) / folder.name)
    if names:
        raise Refused(
            f"git tracks files in {folder}: {_first(names)}. Whoever may commit could so name "
            "processes, ports, commands and modules that a verb would use; nothing of it was "
            "read",
            remedy=f"git -C {quote(str(folder.parent))} rm -r --cached {folder.name}\n"
            f"and write {folder.name}/ into .gitignore"
            + (
                f"; if they came with a clone, also: rm -r {quote(str(folder))}"
                if removable
                else ""
            ),
        )


def _unknown(folder: Path, entries: set[str], *, removable: bool) -> Refused:
    """Return the error for a state folder that is not trusted, with how to trust or remove it.

    `entries` are the names in it; without `removable` nobody is advised to remove it.
    """
    stored = sorted(name for name in entries if not is_derived(name))
    loses = (
        f"that removes what was stored there ({_first(stored)}): of events, runs, models and "
        "endpoints on the laptop it may be the only copy"
        if stored
        else "that is safe: all that lies there is made again by the next command"
    )
    return Refused(
        f"{folder} is not known to {root()}: it came with the project, from another machine or "
        "user, or from an older Isthmus. Its records name processes, ports, commands and "
        "modules that a verb would use; nothing of it was read",
        remedy=(
            f"if it came with a clone or an archive: rm -r {quote(str(folder))}\n  {loses}"
            if removable
            else "if profiles.yaml is not yours, take its `home` out"
        )
        + "\nif it is yours: isthmus trust",
    )


def _first(names: Sequence[str]) -> str:
    """Return the first few of many file names, and how many follow, as text."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(ascii(name)[1:-1] for name in names[:_NAMED])}{more}"


def _read_id(folder: Path) -> str | None:
    """Return the id stored in a folder; None if there is none, or another user wrote it."""
    try:
        descriptor = os.open(folder / ID, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        text = file.read(64).decode(errors="replace").strip()
    return text if _ID.fullmatch(text) else None


def _record(number: str | None) -> KnownFolder | None:
    """Return the stored record of a trusted state folder by its id, or None."""
    if number is None or not _has_root(root()):
        return None
    path = kept_for(number) / "project.json"
    try:
        return decode(
            path.read_bytes(),
            KnownFolder,
            what=str(path),
            remedy=f"rm {path}, and then isthmus trust",
        )
    except FileNotFoundError:
        return None


def _has_root(state: Path) -> bool:
    """Return whether the user's state folder exists.

    Raises:
        Refused: It belongs to another user, who could declare any folder trusted.
    """
    try:
        status = state.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if status.st_uid != os.geteuid():
        raise Refused(
            f"{state} belongs to another user (number {status.st_uid})", remedy=_ELSEWHERE
        )
    if status.st_mode & 0o077:
        state.chmod(0o700)
    return True


def _registered_id(folder: Path, number: str, record: KnownFolder, inode: int) -> str:
    """Return the id of a trusted folder, after a check that it is the folder of its record.

    A folder that was moved keeps its id `number`. A copy, whose original is still there, gets an id
    of its own, or "" if none can be written. `inode` is the folder's.
    """
    place = os.path.realpath(folder)
    if place == record.folder and inode == record.inode:
        return number
    with _exclusive():
        number = _read_id(folder) or number  # another command may have been here first
        record = _record(number) or record
        original = Path(record.folder)
        stands = (
            place != record.folder
            and _inode(original) == record.inode
            and _read_id(original) == number
        )
        if stands and not original.samefile(folder):
            try:
                return _register(folder)
            except OSError:
                return ""
        if (place, inode) != (
            record.folder,
            record.inode,
        ) and not stands:  # moved, or put back from a copy
            with suppress(OSError):
                _write_record(number, replace(record, folder=place, inode=inode))
    return number


def _inode(folder: Path) -> int | None:
    """Return a path's inode number, or None if it does not exist."""
    try:
        return folder.lstat().st_ino
    except OSError:
        return None


def _make_private(folder: Path, status: os.stat_result) -> None:
    """Remove other users' access to a folder that an older Isthmus left open to them."""
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        with suppress(OSError):
            folder.chmod(0o700)


def _register(folder: Path) -> str:
    """Register a folder as trusted under a new random id, and return the id.

    The record is written before the id in the folder: if the process dies in between, the folder is
    still unknown, and registering it can be repeated.
    """
    make_folder(folder, mode=0o700)
    folder.chmod(0o700)
    number = secrets.token_hex(16)
    _write_record(number, KnownFolder(folder=os.path.realpath(folder), inode=folder.stat().st_ino))
    new = folder / _ID_NEW
    new.unlink(missing_ok=True)
    _write(new, f"{number}\n".encode())
    new.replace(folder / ID)
    sync_folder(folder)
    return number


def _write_record(number: str, record: KnownFolder) -> None:
    """Write the record of a trusted state folder to disk atomically."""
    place = kept_for(number)
    make_folder(place)
    new = place / "project.json.new"
    new.unlink(missing_ok=True)
    _write(new, msgspec.json.encode(record))
    new.replace(place / "project.json")
    sync_folder(place)
    sync_folder(place.parent)


def _write(path: Path, data: bytes) -> None:
    """Write a new file that only this user may read, and force it to disk."""
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb"
    ) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _exclusive() -> Generator[None, None, None]:
    """Hold a lock in the block, so that one process at a time changes the trusted folders.

    The process that holds it may take it again.

    Raises:
        Denied: This user has no home folder.
        Refused: The state folder cannot be used.
    """
    with _threads:
        if _held:
            yield
            return
        with _locked(root()) as lock:
            _held.append(lock)
            try:
                yield
            finally:
                _held.clear()


_threads = threading.RLock()
_held: list[IO[bytes]] = []


def _locked(state: Path) -> IO[bytes]:
    """Lock the user's state folder, created if needed, and return the open lock file."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _has_root(state)
        lock = (state / "lock").open("ab")
    except OSError as error:
        words = f"{state}, where Isthmus keeps which projects are known, cannot be made or written"
        raise Denied(f"{words}: {error.strerror}", remedy=_ELSEWHERE) from error
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock
