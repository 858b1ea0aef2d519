"""Take the README's figures and pictures from a run: `make pictures`, a minute or two, and Chromium.

Both demos are run in a folder of their own. README.md and docs/ja/index.md get what the first one
says; docs/images/ gets the top of the pages that the second one makes.
"""  # noqa: INP001

import base64
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SHOWN = (README, ROOT / "docs" / "ja" / "index.md")
IMAGES = ROOT / "docs" / "images"
PAGES = {"rollout": "rollout-canary.html", "experiment": "experiment-order.1.html"}
WIDTH, TALLEST = 900, 800
# above the last heading that still fits, so that nothing is cut through
_BOTTOM = f"""Math.max(...[...document.querySelectorAll("h2")]
    .map(heading => heading.getBoundingClientRect().top).filter(top => top <= {TALLEST})) - 16"""
_BLOCK = re.compile(r"(?<=```\n)(  Can the two models .*?)(?=```)", re.DOTALL)


def answers(printed: str, questions: list[str]) -> list[str]:
    """The lines of a demo that answer these questions."""
    lines = printed.splitlines()
    return [next(line for line in lines if line.startswith(question)) for question in questions]


def questions_of(page: str) -> list[str]:
    """The questions of a document's block, as the demo prints them."""
    (block,) = _BLOCK.findall(page)
    return [line.partition("?")[0] + "?" for line in block.splitlines()]


def demo(folder: Path, *options: str) -> str:
    """Run `isthmus demo` in a folder, and return what it prints."""
    command = [sys.executable, "-m", "isthmus", "demo", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def photograph(folder: Path, profile: str) -> None:
    from isthmus.tests.ui.chromium import Chromium

    IMAGES.mkdir(exist_ok=True)
    with Chromium(profile) as chromium:
        for name, page in PAGES.items():
            chromium.looks(width=WIDTH, theme="light", height=TALLEST)
            chromium.go((folder / page).as_uri())
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": chromium.ask(_BOTTOM), "scale": 1}
            drawn = chromium.call("Page.captureScreenshot", clip=clip)["data"]
            (IMAGES / f"{name}.png").write_bytes(base64.b64decode(drawn))


def main() -> None:
    with TemporaryDirectory() as scratch, TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        folder = Path(scratch)
        printed = demo(folder)
        demo(folder, "--example", "shop")
        photograph(folder / "shop" / ".isthmus" / "reports", profile)
    for path in SHOWN:
        page = path.read_text()
        block = "".join(f"{line}\n" for line in answers(printed, questions_of(page)))
        path.write_text(_BLOCK.sub(lambda _, block=block: block, page))
        print(path.relative_to(ROOT))
    for name in PAGES:
        print((IMAGES / f"{name}.png").relative_to(ROOT))


if __name__ == "__main__":
    main()
