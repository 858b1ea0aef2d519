"""Pages as a browser draws them: served by this process, looked at in every way, and judged by
axe-core.
"""

from contextlib import contextmanager
from importlib.util import find_spec
from json import dumps
from pathlib import Path
from threading import Thread

import pytest
import uvicorn

from isthmus.endpoints.http.server import config, listener, url
from isthmus.ui import server
from isthmus.ui.application import Application

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 25, 29)"}
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
# marks of pictures that a phone would show only to who scrolls sideways
OUTSIDE = """[...document.querySelectorAll("figure svg:not(.flow) :is(circle, rect)")].filter(
  mark => mark.getClientRects().length && mark.getBoundingClientRect().right > innerWidth).length"""
NO_AXE = "there is no axe-core here: make setup"
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
    """In both themes and widths nothing stands out of the screen, nothing is told to the console,
    nothing asked of another host.
    """
    since = len(chromium.events)
    for path in paths:
        for width in (360, 1280):
            for theme, paper in PAPER.items():
                chromium.looks(width=width, theme=theme)
                chromium.go(f"{host}{path}")
                assert chromium.ask(OVERFLOW) <= 0, (path, width)
                assert chromium.ask(OUTSIDE) == 0, (path, width)
                assert chromium.ask("getComputedStyle(document.body).backgroundColor") == paper
    events = chromium.events[since:]
    assert [parameters for name, parameters in events if name in TOLD] == []
    asked = {
        parameters["request"]["url"]
        for name, parameters in events
        if name == "Network.requestWillBeSent"
    }
    assert {address for address in asked if not address.startswith((f"{host}/", "data:"))} == set()


_LOOKS = (
    (1280, "light", {}),
    (1280, "dark", {"runOnly": ["color-contrast", "link-in-text-block"]}),
    (360, "dark", {"runOnly": ["scrollable-region-focusable", "target-size"]}),
)


def judged(chromium, addresses):
    """axe-core finds nothing: by all its rules (WCAG, best practice), by those of colour in the
    dark, of touch and scrolling on a phone.
    """
    spec = find_spec("axe_playwright_python")
    if spec is None:
        pytest.skip(NO_AXE)
    script, findings = Path(spec.origin).with_name("axe.min.js").read_text(), []
    for address in addresses:
        chromium.go(address)
        chromium.ask(f"{script}; null")
        for width, theme, options in _LOOKS:
            chromium.looks(width=width, theme=theme)
            findings += [
                f"{address} {width} {theme}: {text}" for text in violations(chromium, options)
            ]
    assert findings == [], "\n".join(findings)


def violations(chromium, options):
    """What axe-core finds on the page: the rule, the element, why."""
    run = f"axe.run(document, {dumps({'resultTypes': ['violations'], **options})})"
    told = (
        "violations.flatMap(rule => rule.nodes.map(node => `${rule.id} ${node.target} "
        "${node.failureSummary}`))"
    )
    return chromium.ask(f"{run}.then(({{violations}}) => {told})")
