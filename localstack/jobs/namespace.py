"""/opt/ml really there: a mount namespace of the job's own, in which its folder is bound to /opt/ml. The host sees nothing of it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

OFF = "ISTHMUS_STACK_NAMESPACE"  # set to "off" where /opt/ml must not be tried

# Without an /opt/ml on the host, /opt is rebuilt in the job's folder: each entry bound to itself, and our `ml` beside them.
_SCRIPT = """
set -e
job="$1"; work="$2"; shift 2
if [ -d /opt/ml ]; then
  mount --rbind "$job/ml" /opt/ml
else
  new="$job/opt"
  mkdir -p "$new/ml"
  for entry in /opt/* /opt/.[!.]*; do
    name="${entry##*/}"
    if [ -L "$entry" ]; then cp -P "$entry" "$new/$name"
    elif [ -d "$entry" ]; then mkdir -p "$new/$name"; mount --rbind "$entry" "$new/$name"
    elif [ -e "$entry" ]; then : > "$new/$name"; mount --bind "$entry" "$new/$name"
    fi
  done
  mount --bind "$job/ml" "$new/ml"
  mount --rbind "$new" /opt
fi
cd "$work"
exec "$@"
"""


@functools.cache
def prefix() -> tuple[str, ...] | None:
    """The command that opens a private mount namespace: as root, else through a user namespace; None where neither is permitted."""
    unshare = shutil.which("unshare")
    if unshare is None or not Path("/opt").is_dir() or os.environ.get(OFF) == "off":
        return None
    for options in (("--mount",), ("--user", "--map-root-user", "--mount")):
        command = (unshare, *options, "--propagation", "private")
        try_mount = 'd=$(mktemp -d) && mount --bind /opt "$d" && umount "$d"; code=$?; rmdir "$d"; exit $code'
        try:
            done = subprocess.run([*command, "sh", "-c", try_mount], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return command
    return None


def inside(command: list[str], job: Path, work: Path) -> list[str] | None:
    """The command, run where `job`/ml is /opt/ml; None where that is not permitted."""
    found = prefix()
    return None if found is None else [*found, "sh", "-c", _SCRIPT, "sh", str(job), str(work), *command]
