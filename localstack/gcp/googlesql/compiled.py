"""GoogleSQL's machine code in the user's cache. Compiling its WebAssembly takes 30 s of CPU and 1 GB; loading the result 5 ms.

So it is compiled once for each version, by a process of its own that gives the memory back, under a lock.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class NotCompiled(RuntimeError):
    """The compiler's process ended without a result. The message holds its last words."""


def available() -> bool:
    """Whether the wheel is installed. Imports nothing of it."""
    return find_spec("zetasql") is not None and find_spec("wasmtime") is not None


def compiled_file() -> Path:
    """Where the machine code is, or will be: one file for each version of the wheel, of the compiler, and kind of machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    versions = "-".join(metadata.version(name) for name in ("zetasql", "wasmtime"))
    return cache / "isthmus" / "googlesql" / f"{versions}-{platform.machine()}.cwasm"


def ensure_compiled() -> Path:
    """Compile in another process unless somebody did; wait for one who is at it. NotCompiled when that fails."""
    file = compiled_file()
    if not file.exists():
        package = __name__.rpartition(".")[0]
        run = subprocess.run([sys.executable, "-P", "-m", package], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if run.returncode or not file.exists():
            raise NotCompiled(f"compiling GoogleSQL ended with {run.returncode}: {run.stderr.strip()[-500:]}")
    return file


def compile_here() -> None:
    """Compile in this process, which needs 1 GB for it; nothing when it is done already."""
    from wasmtime import Module
    from zetasql.wasi import get_wasm_path

    file = compiled_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # whoever writes here runs code as us
    with _exclusive(file.with_suffix(".lock")):
        if file.exists():
            return
        code = Module.from_file(wasm_engine(), str(get_wasm_path())).serialize()
        fresh = file.with_suffix(".new")
        fresh.write_bytes(code)
        fresh.replace(file)


def load(engine: Any) -> Any:
    """The module. Machine code that is damaged, or of another kind of processor (a home that several machines share), is made anew."""
    from wasmtime import Module, WasmtimeError

    file = ensure_compiled()
    try:
        return Module.deserialize_file(engine, str(file))
    except WasmtimeError:
        file.unlink(missing_ok=True)
        return Module.deserialize_file(engine, str(ensure_compiled()))


def wasm_engine() -> Any:
    """The settings that compiling and loading must share."""
    from wasmtime import Config, Engine

    config = Config()
    config.shared_memory = True  # the module's memory is declared so
    return Engine(config)


@contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
