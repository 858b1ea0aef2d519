"""Another user of this machine, as a process: it asks what it is told to and says what it was
answered.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

USER = 12345  # of nobody here
needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.getuid() != 0,
    reason="another user's process needs root to start it, and Linux to be known",
)


def asked(tries, *, user=USER):
    """The answers, as (status, text, headers), to tries of (port, method, path, headers, body),
    each on a connection of its own.

    A port that is a text is an address of gRPC's, path a method and body a message; the status is
    the code's name.
    """
    command = [sys.executable, str(Path(__file__)), str(user)]
    done = subprocess.run(
        command, input=json.dumps(tries), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [tuple(answer) for answer in json.loads(done.stdout)]


def _ask(port, method, path, headers, body):
    if isinstance(port, str):
        return _call(port, path, body)
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace"), dict(answer.getheaders())


def _call(address, path, body):
    import grpc

    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(path)(body.encode(), timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details(), {}
    return "OK", "", {}


def _main(user):
    tries = json.load(sys.stdin)
    if any(isinstance(port, str) for port, *_ in tries):
        import grpc  # noqa: F401  while the files of this interpreter can be read
    import encodings.idna  # noqa: F401  which sockets import late
    import http.client  # noqa: F401

    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    json.dump([_ask(*each) for each in tries], sys.stdout)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
