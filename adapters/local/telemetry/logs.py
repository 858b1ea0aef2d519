"""LogSource over the log files below `.isthmus/`."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ....errors import Invalid, NotFound
from ....storage import LogPage
from ....target import Target
from ..endpoints.rows import endpoint_folder
from ..home import home

CHUNK = 65_536


@final
class LocalLogSource:
    """The LogSource port over files.

    `resource` is `[endpoints/]<endpoint>/<variant>`, `endpoints/<endpoint>` (its supervisor), or a
    log file's path below the home folder.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._home = home(target).absolute()

    def tail(self, resource: str, *, after: str | None = None, limit: int = 100) -> LogPage:
        """Return the last `limit` log lines of an endpoint or job, or the next ones after a cursor.

        A page has a cursor, which is passed as `after`. Raises NotFound if nothing has been logged,
        Invalid for a path outside of the home folder.
        """
        self._target.calls.reading("logs.tail", resource)
        path = self._path(resource)
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if after is None:
                    lines, cursor = _last(path, size, limit), size
                else:
                    # the log was begun anew
                    start = int(after) if after.isdigit() and int(after) <= size else 0
                    file.seek(start)
                    whole = [
                        line for line in file.readlines(CHUNK * 16)[:limit] if line.endswith(b"\n")
                    ]
                    lines, cursor = whole, start + sum(map(len, whole))
        except (FileNotFoundError, IsADirectoryError) as error:
            raise NotFound(f"{resource} has written no log yet") from error
        return LogPage(
            lines=tuple(line.decode("utf-8", "replace").rstrip("\r\n") for line in lines),
            cursor=str(cursor),
        )

    def _path(self, ref: str) -> Path:
        """Return the path of the log that `ref` names, of an endpoint, a variant or a job."""
        parts = ref.split("/")
        if parts[0] == "endpoints" and len(parts) in (2, 3):
            folder = endpoint_folder(self._home, parts[1])
            path = (
                folder / "supervisor.log"
                if len(parts) == 2
                else folder / "logs" / f"{parts[2]}.log"
            )
        elif len(parts) == 2 and endpoint_folder(self._home, parts[0]).is_dir():
            path = endpoint_folder(self._home, parts[0]) / "logs" / f"{parts[1]}.log"
        else:
            path = Path(ref.removeprefix("file://"))
        path = (self._home / path).resolve()
        if not path.is_relative_to(self._home.resolve()):
            raise Invalid(f"{ref} is not below {self._home}")
        return path


def _last(path: Path, size: int, limit: int) -> list[bytes]:
    """Return at most `limit` last lines of a file of `size` bytes, read from its end backwards."""
    tail, start = b"", size
    with path.open("rb") as file:
        while start > 0 and tail.count(b"\n") <= limit:
            step = min(CHUNK, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
    return tail.splitlines(keepends=True)[-limit:] if limit else []
