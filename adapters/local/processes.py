"""Is that process still the one we started? A process id alone may have been given to another."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_STATE, _START = 0, 19  # fields of /proc/<pid>/stat after the name in parentheses (man 5 proc)


def start_time(pid: int) -> str | None:
    """When a process began, as the kernel tells it; None when there is none, or only its remains (a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _asked(pid)
    return None if fields[_STATE] in "ZX" else fields[_START]


def alive(pid: int, started: str) -> bool:
    return start_time(pid) == started


def me() -> tuple[int, str]:
    """This process's id and start."""
    return os.getpid(), start_time(os.getpid()) or ""


def _asked(pid: int) -> str | None:
    """Where there is no /proc (macOS)."""
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.split(
        None, 1
    )
    return None if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()
