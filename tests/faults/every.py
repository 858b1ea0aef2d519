"""`make bench-faults`: every call of every verb is disturbed in every way (syscalls.py), or every
Nth with `--every N`.

    python -m isthmus.tests.faults.every [VERB ...] [--every N] [--kind kill,tear,full,broken]

A try takes about a second; ingest alone makes 800 calls. What fails is told at once, and the exit
code is 1.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from isthmus.tests.faults.preloaded.syscalls import VERBS, Commands, Kind, Verb


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m isthmus.tests.faults.every", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "verbs", nargs="*", metavar="VERB", help=f"of {', '.join(VERBS)}; default: all"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--kind", default="kill,tear,full,broken")
    chosen = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, Commands(Path(folder)) as commands:
        for name in chosen.verbs or VERBS:
            place = Path(folder) / name
            place.mkdir()
            verb = Verb(name, commands, place)
            for kind in (Kind[word.upper()] for word in chosen.kind.split(",")):
                failed += _every(verb, kind, chosen.every)
    return 1 if failed else 0


def _every(verb, kind, step):
    """Disturb the calls one after the other until there are no more; how many tries failed."""
    started, tries, failed, at = time.monotonic(), 0, 0, 1
    while True:
        try:
            hit = verb.disturbed(kind, at)
        except AssertionError as error:
            failed += 1
            print(f"FAILED {error}\n", flush=True)
            hit = True
        if not hit:
            break
        tries, at = tries + 1, at + step
        if at > 2 * verb.calls + 100:
            print(f"FAILED {verb.name}, {kind.name}: its calls do not end", flush=True)
            failed += 1
            break
    seconds = time.monotonic() - started
    print(
        f"{verb.name:12} {kind.name.lower():7} {verb.calls:5} calls, {tries:5} tries, "
        f"{failed:4} failed, {seconds:6.0f} s",
        flush=True,
    )
    return failed


if __name__ == "__main__":
    sys.exit(main())
