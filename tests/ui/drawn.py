"""Pages as a browser draws them: served by this process, looked at in every way."""

from contextlib import contextmanager
from threading import Thread

import uvicorn

from isthmus.endpoints.listening import config, listener, url
from isthmus.ui import server
from isthmus.ui.application import Application

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 25, 29)"}
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
TOLD = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@contextmanager
def serving(read, *, write=False):
    """The pages on a port of their own, by a thread of this process."""
    to = server.access(host="127.0.0.1", allow_hosts=(), token=None, proxy=None, write=write)
    with listener("127.0.0.1", 0) as listening:
        of = uvicorn.Server(config(Application(read, to), lifespan="off"))
        thread = Thread(target=of.run, args=([listening],))
        thread.start()
        try:
            yield url("127.0.0.1", listening)
        finally:
            of.should_exit = True
            thread.join(60)


def drawn(chromium, host, paths):
    """In both themes and widths nothing stands out of the screen, nothing is told to the console, nothing asked of another host."""
    since = len(chromium.events)
    for path in paths:
        for width in (360, 1280):
            for theme, paper in PAPER.items():
                chromium.looks(width=width, theme=theme)
                chromium.go(f"{host}{path}")
                assert chromium.ask(OVERFLOW) <= 0, (path, width)
                assert chromium.ask("getComputedStyle(document.body).backgroundColor") == paper
    events = chromium.events[since:]
    assert [parameters for name, parameters in events if name in TOLD] == []
    asked = {parameters["request"]["url"] for name, parameters in events if name == "Network.requestWillBeSent"}
    assert {address for address in asked if not address.startswith((f"{host}/", "data:"))} == set()
