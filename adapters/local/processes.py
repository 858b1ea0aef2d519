"""Processes by id and start time: an id alone may have been given to another process since."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_STATE, _START = 0, 19  # fields of /proc/<pid>/stat after the name in parentheses (man 5 proc)


def start_time(pid: int) -> str | None:
    """Return a process's start time from the kernel, or None if it has ended.

    A zombie has ended.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    return None if fields[_STATE] in "ZX" else fields[_START]


def alive(pid: int, started: str) -> bool:
    """Return whether the process with this pid still runs and is the one that started then."""
    return start_time(pid) == started


def kill_now(pid: int, started: str) -> None:
    """Kill the process with this pid, unless it is another one than that which started then."""
    if alive(pid, started):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_session(leader: int) -> None:
    """Kill all processes of the session of `leader`, also those that start meanwhile."""
    killed: set[int] = set()
    while members := {pid for pid in _pids() if _session(pid) == leader} - killed:
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= members


def _pids() -> list[int]:
    """Return the pids of all processes of the machine."""
    if Path("/proc/self/stat").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [
        int(line)
        for line in subprocess.run(
            ["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False
        ).stdout.split()
    ]


def _session(pid: int) -> int | None:
    """Return a process's session id, or None if it has ended."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def me() -> tuple[int, str]:
    """Return this process's pid and start time, which together identify it on this machine."""
    return os.getpid(), start_time(os.getpid()) or ""


def _started_by_ps(pid: int) -> str | None:
    """Return a process's start time from `ps`, where there is no /proc (macOS)."""
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(None, 1)
    return None if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()


class Member:
    """A process of a group: its id, its parent's id, and its command line in one string."""

    __slots__ = ("command", "parent", "pid")

    def __init__(self, pid: int, parent: int, command: str) -> None:
        self.pid, self.parent, self.command = pid, parent, command


def members(group: int) -> list[Member]:
    """Return the living processes of a process group."""
    if not Path("/proc/self/stat").exists():
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,pgid=,args="],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()
        rows = [line.split(None, 3) for line in lines]
        return [
            Member(int(row[0]), int(row[1]), row[3])
            for row in rows
            if len(row) == 4 and row[2] == str(group)
        ]
    return [
        member
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (member := _member(entry, group)) is not None
    ]


def _member(entry: Path, group: int) -> Member | None:
    """Return the process of a /proc entry if it lives and belongs to a process group, or None."""
    try:
        fields = (
            (entry / "stat")
            .read_text(encoding="ascii", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        if int(fields[2]) != group or fields[_STATE] in "ZX":
            return None
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return Member(int(entry.name), int(fields[1]), command)
