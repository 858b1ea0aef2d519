"""`python -m isthmus.tests.conformance.table [PORT ...]`: how many of SageMaker's tests pass on
which server, for other-servers.md.

Each port (default: all) is run on our stack and on moto's server; rows of other ports stay. It
takes some ten minutes.
"""

import os
import re
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree as ET

from isthmus.tests.conformance.places import ENDPOINT, moto_server
from isthmus.tests.conformance.rows import PORTS

PAGE = Path(__file__).parents[2] / "localstack" / "docs" / "other-servers.md"
HEADER = "| port | our stack | moto server | LocalStack | AWS |\n|---|---|---|---|---|\n"
_TIMEOUT = 60  # seconds for one test: what waits on a server that will never do it has failed


def passes(port, url=None):
    """`PASSED of TESTS` of one port on the server at `url`, or on a stack of its own.

    Empty for a port that no test judges.
    """
    environment = {name: value for name, value in os.environ.items() if name != ENDPOINT} | (
        {ENDPOINT: url} if url else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "isthmus.tests.conformance",
            "sagemaker",
            "--port",
            port,
            f"--timeout={_TIMEOUT}",
            "-q",
        ]
        subprocess.run(
            [*command, f"--junitxml={report}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        cases = list(ET.parse(report).iter("testcase"))
    tests = {(case.get("classname"), case.get("name")) for case in cases}
    failed = {
        (case.get("classname"), case.get("name")) for case in cases if len(case)
    }  # a failure, an error, or both
    return f"{len(tests - failed)} of {len(tests)}" if tests else ""


def published():
    """Port -> its cells in localstack/docs/other-servers.md."""
    table = PAGE.read_text().partition(HEADER)[2].partition("\n\n")[0]
    return {
        cells[0]: cells[1:]
        for row in table.splitlines()
        if (cells := re.findall(r"\| ([^|]+?) (?=\|)", row))
    }


def publish(rows):
    before, _, rest = PAGE.read_text().partition(HEADER)
    lines = [f"| {' | '.join((port, *rows[port]))} |\n" for port in PORTS if port in rows]
    PAGE.write_text(f"{before}{HEADER}{''.join(lines)}\n{rest.partition(chr(10) * 2)[2]}")


def main(ports):
    for port in ports:
        columns = []
        for server in (nullcontext(), moto_server()):
            with server as url:
                columns.append(passes(port, url))
        if any(columns):
            publish(published() | {port: (*columns, "not tried", "not tried")})
            print(port, *columns, sep="   ", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or PORTS)
