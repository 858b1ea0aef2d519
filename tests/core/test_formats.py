"""Documents that several threads decode at once. Their bytes by release are in tests/documents."""

import subprocess
import sys

# Kinds that nobody has decoded yet, each by eight threads at once. Without the lock this ends by
# SIGSEGV, mostly within ten rounds.
RACE = """
import sys, threading, types
import msgspec
from isthmus.core.formats import decode
KINDS = '''
from __future__ import annotations
import msgspec
from isthmus.core.formats import StoredDocument
class Part(msgspec.Struct):
    names: dict[str, int | str] = {}
    of: tuple[str, ...] = ()
class Whole(StoredDocument, frozen=True, kw_only=True):
    part: Part
    more: tuple[Part, ...] = ()
    by_name: dict[str, Part] = {}
'''
sys.setswitchinterval(1e-6)
DATA = b'{"schema":1,"part":{"names":{"k":1},"of":["x"]},"more":[{}],"by_name":{"q":{}}}'
for number in range(150):
    module = types.ModuleType(f"kinds{number}")
    sys.modules[module.__name__] = module
    exec(KINDS, module.__dict__)
    ready, parts = threading.Barrier(8), []
    def work():
        ready.wait()
        parts.append(decode(DATA, module.Whole, what="it").part.of)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert parts == [("x",)] * 8
"""


def test_threads_that_are_the_first_to_decode_a_kind_do_not_end_the_process():
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, check=False, timeout=120, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
