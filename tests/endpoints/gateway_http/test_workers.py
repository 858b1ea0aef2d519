"""The processes of one gateway, and who starts them again."""

import errno
import socket
import subprocess
import time

from isthmus.endpoints.gateway.http.server import GatewaySettings
from isthmus.endpoints.gateway.http.workers import _Workers


def test_where_a_worker_cannot_be_started_again_the_others_serve_on_and_it_is_tried_later(
    tmp_path, monkeypatch, capsys
):
    def refused(*_arguments, **_named):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        workers = _Workers(GatewaySettings(), listening, tmp_path, 1)
        (slot,) = workers._slots
        slot.starts, slot.due = 1, time.monotonic()
        monkeypatch.setattr(subprocess, "Popen", refused)
        assert workers._until_an_event()
    assert slot.due is not None
    assert slot.due > time.monotonic()
    assert "worker 1 cannot be started: Resource temporarily unavailable" in capsys.readouterr().err
