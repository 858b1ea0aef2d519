"""A mount namespace of a container's own, so that its files are where its cloud says.

In it a folder is bound to, say, /opt/ml. The host sees nothing of it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

OFF = "ISTHMUS_STACK_NAMESPACE"  # set to "off" where no mount must be tried
# seconds for trying a mount; who gives up on a busy machine has no /opt/ml for as long as it runs
_TRIES = 60

# Where the host has no such folder, its parent is rebuilt in the container's folder: each entry
# bound to itself, and our files beside them. The root of the file system cannot be covered: there
# the rebuilt one becomes the command's root.
_SCRIPT = """
set -e
folder="$1"; files="$2"; mount="$3"; work="$4"; shift 4
if [ -d "$mount" ]; then
  mount --rbind "$files" "$mount"
else
  parent="${mount%/*}"
  new="$folder/parent"
  mkdir -p "$new/${mount##*/}"
  for entry in "$parent"/* "$parent"/.[!.]*; do
    name="${entry##*/}"
    if [ -L "$entry" ]; then cp -P "$entry" "$new/$name"
    elif [ -d "$entry" ]; then mkdir -p "$new/$name"; mount --rbind "$entry" "$new/$name"
    elif [ -e "$entry" ]; then : > "$new/$name"; mount --bind "$entry" "$new/$name"
    fi
  done
  mount --bind "$files" "$new/${mount##*/}"
  if [ -z "$parent" ]; then
    chroot="$(PATH="$PATH:/usr/sbin:/sbin" command -v chroot)"
    exec "$chroot" "$new" sh -c 'cd "$0" && exec "$@"' "$work" "$@"
  fi
  mount --rbind "$new" "$parent"
fi
cd "$work"
exec "$@"
"""


@functools.cache
def prefix(parent: str) -> tuple[str, ...] | None:
    """Return the words before a command that give it a mount namespace of its own, or None.

    In there something can be mounted over `parent`. It takes root or a user namespace; without the
    right to either the result is None.
    """
    unshare = shutil.which("unshare")
    if unshare is None or not Path(parent).is_dir() or os.environ.get(OFF) == "off":
        return None
    for options in (("--mount",), ("--user", "--map-root-user", "--mount")):
        opening = (unshare, *options, "--propagation", "private")
        try_mount = (
            'd=$(mktemp -d) && mount --bind "$1" "$d" && umount "$d"; code=$?; rmdir "$d"; exit '
            "$code"
        )
        try:
            done = subprocess.run(
                [*opening, "sh", "-c", try_mount, "sh", parent],
                capture_output=True,
                timeout=_TRIES,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return opening
    return None


def inside(command: list[str], *, folder: Path, files: Path, mount: str, work: Path) -> list[str]:
    """Return the command line that runs a command which sees the folder `files` at `mount`.

    `work` is its working directory; `folder` is for helper files. The command is unchanged where no
    mount is permitted.
    """
    opening = prefix(str(PurePosixPath(mount).parent))
    return (
        command
        if opening is None
        else [
            *opening,
            "sh",
            "-c",
            _SCRIPT,
            "sh",
            str(folder),
            str(files),
            mount,
            str(work),
            *command,
        ]
    )
