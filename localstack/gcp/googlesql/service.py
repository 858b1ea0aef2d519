"""Call GoogleSQL's local service: protobuf in, protobuf out.

There is one instance a process, which takes one call at a time.
"""

from __future__ import annotations

import atexit
import ctypes
import re
import zoneinfo
from collections import OrderedDict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from .compiled import load, wasm_engine

_CATALOGS = (
    16  # catalogs that stay registered: an analysis on one takes 5 ms, on one that is sent along 25
)
_ERROR = re.compile(r"Code: (\d+), Message: (.*)", re.DOTALL)
_POSITION = re.compile(r"\[at (\d+):(\d+)\]\s*$")


class SqlRejected(ValueError):
    """A statement that GoogleSQL refuses, in its own words.

    They end in ` [at LINE:COLUMN]` where there is a position.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code  # google.rpc's: 3 is INVALID_ARGUMENT, 11 OUT_OF_RANGE
        place = _POSITION.search(message)
        self.line = int(place[1]) if place else None
        self.column = int(place[2]) if place else None


class Service:
    """The module's one instance.

    What it is asked at the same time waits; a trap (deep nesting) costs a new instance, 50 ms.
    """

    def __init__(self) -> None:
        self._engine = wasm_engine()
        self._module = load(self._engine)
        self._lock = Lock()
        self._instance = _Instance(self._engine, self._module)

    def call(self, method: str, request: Any) -> bytes:
        """Call a method of GoogleSQL's local service; return the serialized response.

        Raises:
            SqlRejected: The service refuses.
        """
        with self._lock:
            return self._bytes(method, request)

    def call_with_catalog(self, method: str, request: Any, catalog: bytes) -> bytes:
        """Call a method with a serialized catalog of tables; return the serialized response.

        The catalog stays registered as long as it is among the last that were used.

        Raises:
            SqlRejected: The service refuses.
        """
        with self._lock:
            request.registered_catalog_id = self._register(catalog)
            return self._bytes(method, request)

    def _bytes(self, method: str, request: Any) -> bytes:
        """Call a method of the WebAssembly module, in a new instance if the former one crashed."""
        from wasmtime import Trap, WasmtimeError

        try:
            return self._instance.call(f"ZetaSqlLocalService_{method}", request.SerializeToString())
        except (Trap, WasmtimeError) as error:
            self._instance = _Instance(self._engine, self._module)
            raise SqlRejected(
                "the query is too complex for GoogleSQL's analyzer: it nests too deeply", 8
            ) from error

    def _register(self, catalog: bytes) -> int:
        """Return the id under which a catalog is registered, registering it if needed."""
        from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

        registered = self._instance.catalogs
        if catalog in registered:
            registered.move_to_end(catalog)
            return registered[catalog]
        request = messages.RegisterCatalogRequest()
        request.simple_catalog.ParseFromString(catalog)
        number: int = messages.RegisterResponse.FromString(
            self._bytes("RegisterCatalog", request)
        ).registered_id
        registered[catalog] = number
        if len(registered) > _CATALOGS:
            _, oldest = registered.popitem(last=False)
            self._bytes("UnregisterCatalog", messages.UnregisterRequest(registered_id=oldest))
        return number


class _Instance:
    """A running instance of the WebAssembly module."""

    def __init__(self, engine: Any, module: Any) -> None:
        from wasmtime import Linker, Store, WasiConfig

        wasi = WasiConfig()
        wasi.preopen_dir(_zones(), "/usr/share/zoneinfo")
        self._store = Store(engine)
        self._store.set_wasi(wasi)
        linker = Linker(engine)
        linker.define_wasi()
        exports: Any = linker.instantiate(self._store, module).exports(self._store)
        exports["_initialize"](self._store)
        self._exports, self._allocate, self._free = (
            exports,
            exports["wasm_malloc"],
            exports["wasm_free"],
        )
        self.catalogs: OrderedDict[bytes, int] = (
            OrderedDict()
        )  # serialized: its number in this instance

    def call(self, function: str, request: bytes) -> bytes:
        """Call a function of the WebAssembly module with bytes, and return the response's bytes."""
        store = self._store
        place, size_place = self._allocate(store, len(request) or 1), self._allocate(store, 4)
        answer = 0
        try:
            ctypes.memmove(self._address(place), request, len(request))
            answer = self._exports[function](store, place, len(request), size_place)
            if not answer:
                raise self._error()
            size = int.from_bytes(ctypes.string_at(self._address(size_place), 4), "little")
            return ctypes.string_at(self._address(answer), size)
        finally:
            for taken in filter(None, (place, size_place, answer)):
                self._free(store, taken)

    def _address(self, place: int) -> int:
        """Return the address in this process of an offset in the WebAssembly module's memory.

        It must be asked for anew after each call, as a memory that grows moves.
        """
        base = ctypes.cast(self._exports["memory"].data_ptr(), ctypes.c_void_p).value
        assert base is not None  # noqa: S101  a memory has an address
        return base + place

    def _error(self) -> SqlRejected:
        """Return the WebAssembly module's last error as a SqlRejected exception."""
        size = self._exports["wasm_get_last_error_size"](self._store)
        text = ctypes.string_at(
            self._address(self._exports["wasm_get_last_error"](self._store)), size
        ).decode()
        parts = _ERROR.fullmatch(text)
        return SqlRejected(parts[2], int(parts[1])) if parts else SqlRejected(text, 2)


@cache
def service() -> Service:
    """Return this process's GoogleSQL service, loaded at the first call.

    That takes 60 ms and 150 MB; 30 s more of CPU where `make setup` did not compile it.
    """
    atexit.register(service.cache_clear)  # before the interpreter takes apart what frees it
    return Service()


def _zones() -> str:
    """Return the folder of the time zone database: the system's, or the package tzdata's."""
    for folder in zoneinfo.TZPATH:
        if Path(folder).is_dir():
            return folder
    import tzdata

    return str(Path(tzdata.__file__).parent / "zoneinfo")
