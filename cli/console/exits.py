"""How a command leaves: its exit code, and what an error that is not ours is told as."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from ...core.user_state import FOLDER, is_known
from ...errors import DryRun, IsthmusError, LimitExceeded
from .console import Console, relative


def guarded(run: Callable[[], None], console: Callable[[], Console]) -> int:
    """Run a command line; return its exit code. 0 done, 1 error, 130 stopped by Ctrl-C."""
    try:
        run()
    except DryRun as stop:
        console().stopped(stop)
        return 0
    except IsthmusError as error:
        console().fail(error)
        return 1
    except (KeyboardInterrupt, click.Abort) as stop:
        return _stopped(stop.__cause__ or stop)  # click raises its Abort from what it caught
    except (
        click.ClickException,
        click.exceptions.Exit,
    ):  # a command line that is wrong: click says so
        raise
    except Exception as error:  # noqa: BLE001  nothing leaves as a traceback
        if _is_stop(error):
            return _stopped(error)
        console().fail(_as_ours(error))
        return 1
    return 0


def _is_stop(error: BaseException) -> bool:
    """Return whether an exception means that the user pressed Ctrl-C.

    DuckDB reports Ctrl-C as an error of its own, Python 3.11 as the cause of a failed import.
    """
    words = isinstance(error, RuntimeError) and "Query interrupted" in str(error)
    return words or isinstance(error.__cause__, KeyboardInterrupt)


def _stopped(stop: BaseException) -> int:
    """Print that the command was stopped by Ctrl-C, and return the exit code 130."""
    notes = getattr(stop, "__notes__", ()) or (
        "Nothing is half-done: run the same command again to go on.",
    )
    click.echo("\n".join(("\nstopped.", *notes)), err=True)
    return 130


def _as_ours(error: Exception) -> IsthmusError:
    """Convert an unexpected exception to an IsthmusError that tells the user what to do."""
    if isinstance(
        error, OSError
    ):  # the system's own: a full disk, a folder that may not be written
        return _of_system(error)
    if isinstance(error, RecursionError):
        return IsthmusError(
            "something in the input is nested too deeply",
            remedy=f"flatten it; {_written_down(error)}",
        )
    words = str(error).strip().partition("\n")[0]
    return IsthmusError(
        f"a mistake in Isthmus: {type(error).__name__}: {words}", remedy=_written_down(error)
    )


def _written_down(error: Exception) -> str:
    """Write an exception's traceback to a file; return a sentence that says where it is.

    The file is in the project's own folder, or in the system's folder for temporary files.
    """
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    own = Path(FOLDER)
    for folder in (own, None) if is_known(own) else (None,):
        with suppress(OSError):
            descriptor, path = tempfile.mkstemp(prefix="traceback-", suffix=".txt", dir=folder)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            return f"the traceback is in {relative(path)}: please report it"
    return f"the traceback cannot be written anywhere:\n{text}"


def _of_system(error: OSError) -> IsthmusError:
    """Convert an OSError, such as a full disk, to an IsthmusError that says what to do."""
    full, denied = (
        error.errno in {errno.ENOSPC, errno.EDQUOT},
        error.errno in {errno.EACCES, errno.EPERM, errno.EROFS},
    )
    place = error.filename2 or error.filename  # of a copy: what is written
    where = f" ({place})" if place else ""
    remedy = (
        "free some space and run the same command again: it goes on where it was" if full else None
    )
    if denied:
        remedy = (
            "make the folder writable for you, or copy the project to where you may write; "
            "status, validate and runs only read"
        )
    kind = LimitExceeded if full else IsthmusError
    return kind(f"{'the disk is full' if full else error.strerror or error}{where}", remedy=remedy)
