"""GoogleSQL's machine code in the user's cache.

Compiling its WebAssembly takes 30 s of CPU and 1 GB; loading the result takes 60 ms. So it is
compiled once for each version, by a process of its own that gives the memory back, under a lock.

Whoever can write machine code there runs code as us: its folder is this user's alone, its name
holds its digest, and both are looked at before it is loaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class NotCompiled(RuntimeError):
    """The machine code cannot be loaded.

    The message says why: the compiler's last words, or what is wrong with the cache.
    """


def available() -> bool:
    """Return whether GoogleSQL's analyzer is installed, without importing it."""
    return find_spec("zetasql") is not None and find_spec("wasmtime") is not None


def cache_folder() -> Path:
    """Return the folder that caches the analyzer's WebAssembly, compiled to machine code.

    It has a file for each version of the wheel and of the compiler, and kind of machine.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "isthmus" / "googlesql"


def load(engine: Any) -> Any:
    """Return the analyzer as a WebAssembly module in machine code, from the cache or compiled anew.

    The cache is used if its content has the digest in its name, and was compiled for this kind of
    processor. Raises NotCompiled if the compiler fails, or if others can write to the folder.
    """
    from wasmtime import Module, WasmtimeError

    problem: WasmtimeError | None = None
    for _ in range(2):
        with _private_folder() as folder:
            name = _sound_file(folder) or _compile_elsewhere(folder)
            # By the descriptors that were looked at: whoever owns a folder above could put another
            # one in this one's place.
            code = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                return Module.deserialize_file(engine, f"/dev/fd/{code}")
            except WasmtimeError as error:
                problem = error
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(code)
    raise NotCompiled(f"GoogleSQL cannot be loaded just after it was compiled: {problem}")


def compile_here() -> None:
    """Compile the analyzer's WebAssembly in this process and cache it, unless it is cached already.

    It takes 1 GB of memory. Raises NotCompiled if others can write to the cache folder.
    """
    from wasmtime import Module
    from zetasql.wasi import get_wasm_path

    with _private_folder() as folder, _exclusive(folder):
        if _sound_file(folder):
            return
        code = Module.from_file(wasm_engine(), str(get_wasm_path())).serialize()
        fresh = f"{_cached_file_stem()}.new"
        with os.fdopen(
            os.open(
                fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=folder
            ),
            "wb",
        ) as file:
            file.write(code)
        os.rename(
            fresh,
            f"{_cached_file_stem()}-{hashlib.sha256(code).hexdigest()}.cwasm",
            src_dir_fd=folder,
            dst_dir_fd=folder,
        )


def wasm_engine() -> Any:
    """Return a WebAssembly engine with the settings that compiling and loading must share."""
    from wasmtime import Config, Engine

    config = Config()
    config.shared_memory = True  # the module's memory is declared so
    return Engine(config)


def _cached_file_stem() -> str:
    """Return the start of the cached module's file name: package versions and kind of machine."""
    versions = "-".join(metadata.version(name) for name in ("zetasql", "wasmtime"))
    return f"{versions}-{platform.machine()}"


@contextmanager
def _private_folder() -> Iterator[int]:
    """Open the cache folder, which others must not be able to write to; yield its descriptor.

    It is created if it does not exist. Raises NotCompiled if another user owns it or can write to
    it.
    """
    path = cache_folder()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise NotCompiled(
            f"{path}, where GoogleSQL's machine code is kept, cannot be used: {error.strerror}"
        ) from error
    try:
        about = os.fstat(folder)
        if about.st_uid != os.geteuid():
            raise NotCompiled(
                f"{path} belongs to another user, who could put machine code there; set "
                "XDG_CACHE_HOME to a folder of your own"
            )
        if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise NotCompiled(
                f"others can write to {path}, so what lies there may be theirs; remove it: "
                "it is compiled anew"
            )
        yield folder
    finally:
        os.close(folder)


def _sound_file(folder: int) -> str | None:
    """Return the file name of the intact cached module in a folder, or None.

    A module is intact if its content has the digest in its name; others are removed.
    """
    for name in os.listdir(folder):
        parts = re.fullmatch(rf"{re.escape(_cached_file_stem())}-([0-9a-f]{{64}})\.cwasm", name)
        if parts is None:
            continue
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == parts[1]:
                return name
        os.unlink(name, dir_fd=folder)
    return None


def _compile_elsewhere(folder: int) -> str:
    """Compile the analyzer in another process, or wait for one that does; return the file's name.

    Raises:
        NotCompiled: The compiler failed.
    """
    package = __name__.rpartition(".")[0]
    run = subprocess.run(
        [sys.executable, "-P", "-m", package],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    name = _sound_file(folder)
    if run.returncode or name is None:
        raise NotCompiled(
            f"compiling GoogleSQL ended with {run.returncode}: {run.stderr.strip()[-500:]}"
        )
    return name


@contextmanager
def _exclusive(folder: int) -> Iterator[None]:
    """Lock the cache folder (a file descriptor) against other processes while the body runs."""
    with os.fdopen(
        os.open(
            f"{_cached_file_stem()}.lock",
            os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW,
            0o600,
            dir_fd=folder,
        ),
        "w",
    ) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
