"""Chromium, driven over its pipe by the DevTools protocol: pages as a person's browser has them,
without a driver to install.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
)
MISSING = "there is no Chromium here: apt-get install chromium-headless-shell"
_PATIENCE = 120  # seconds for an answer


class Chromium:
    """One window. `events`: what the browser told meanwhile, (method, parameters)."""

    def __init__(self, folder):
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        ]
        flags.append(
            "--disable-dev-shm-usage"
        )  # a container's has 64 MB, for all browsers that run in it
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}',
                PROGRAM,
                *flags,
                "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._write, self._read, self._buffer, self._number = write, read, b"", 0
        self.events, self._session = [], None
        self._session = self.call("Target.attachToTarget", targetId=self._page(), flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self._loader = None  # of the page that is there

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def _page(self):
        """The one that the browser begins with, once it is there."""
        deadline = time.monotonic() + _PATIENCE
        while not (
            pages := [
                target
                for target in self.call("Target.getTargets")["targetInfos"]
                if target["type"] == "page"
            ]
        ):
            assert time.monotonic() < deadline, "the browser has no page"
            time.sleep(0.02)
        return pages[0]["targetId"]

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self):
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], max(0, deadline - time.monotonic()))[0], (
                "the browser does not answer"
            )
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def _loaded(self, since, loaders):
        """Until the page of such a loader is there, after the event number `since`.

        The one before it may be told late.
        """
        while not (ended := [loader for loader in self._loads(since) if loaders(loader)]):
            self._next()
        self._loader = ended[-1]

    def _loads(self, since):
        return [
            told["loaderId"]
            for name, told in self.events[since:]
            if name == "Page.lifecycleEvent" and told["name"] == "load"
        ]

    def go(self, url):
        since = len(self.events)
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self._loaded(since, lambda loader: loader == answer["loaderId"])

    def follow(self, script):
        """Do what leads to another page, and wait for that."""
        since, before = len(self.events), self._loader
        self.ask(script)
        self._loaded(since, lambda loader: loader != before)

    def ask(self, script):
        """The value of an expression on the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def key(self, name, code):
        """Press and release one that has a name; Enter is a character, too."""
        text = {"Enter": "\r"}.get(name, "")
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=code,
                text=text,
            )

    def until(self, condition):
        """Until an expression is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.ask(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def looks(self, *, width, theme, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )

    def picture(self, path):
        """Of the whole page, as a PNG."""
        path.write_bytes(
            base64.b64decode(
                self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            )
        )
