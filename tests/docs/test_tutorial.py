"""Every console block of docs/tutorial.md is run, in order, in one project, and says what the page
says; times, ids and ports may differ.

A comment above a block says why it is not run, that its answer is drawn by lot, or that it waits
for ISTHMUS_EVERY_BLOCK, which `make test-often` sets.
"""

import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.shown import masked, pattern

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OFTEN = "ISTHMUS_EVERY_BLOCK" in os.environ
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()


class Terminal(io.StringIO):
    """A person who types the project's name where that is asked for."""

    def isatty(self):
        return True


def blocks(page=PAGE):
    """Return (what the comment above it says, text) of each block of a page."""
    return re.findall(r"(?:<!-- (.+?) -->\n)?^```\w*\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)


def commands():
    """(command, the lines that it prints, comment) in the page's order, of blocks that are run."""
    for comment, text in blocks():
        if not comment.startswith("not run: ") and (OFTEN or not comment.startswith("often")):
            assert text.startswith("$ "), f"this block is not run, and does not say why: {text}"
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield command, printed.rstrip("\n").split("\n") if printed.strip() else [], comment


def printed(folder, command):
    """(exit code, lines) of a command, without what to do next and without progress."""
    words = re.findall(r"'([^']*)'|(\S+)", command.partition("      #")[0])
    said = isthmus(
        folder,
        *[quoted or plain for quoted, plain in words[1:]],
        stdin=Terminal("openbandit\n"),
        ok=False,
    )
    error = re.search(r"^error .*", said.err, re.MULTILINE | re.DOTALL)
    lines = [*said.out.splitlines(), *(error[0].splitlines() if error else [])]
    return said.code, [masked(line) for line in lines if not line.startswith("next ")]


def check(folder, command, wanted, comment):
    if not command.startswith("isthmus "):
        subprocess.run(["sh", "-c", command], cwd=folder, check=True)
        return None
    code, lines = printed(folder, command)
    if "by lot: " in comment:
        return (
            None
            if json.loads("".join(lines)).keys() == json.loads("".join(wanted)).keys()
            else (command, lines)
        )
    failed = any(line.startswith("error") or "error  " in line for line in wanted)
    alike = re.fullmatch(pattern(wanted), "".join(f"{line}\n" for line in lines))
    return None if alike and (code != 0) == failed else (command, code, lines)


def test_every_block_is_run_or_says_why_not():
    assert len(blocks()) == len(re.findall(r"^```", PAGE, re.MULTILINE)) / 2
    assert {comment.partition(":")[0] for comment, _ in blocks() if comment} <= {
        "not run",
        "often",
        "often, by lot",
    }
    assert all(text.startswith("$ ") for _, text in blocks())


def test_the_tutorial_says_what_its_commands_print(tmp_path):
    folder, wrong = tmp_path, []
    try:
        for command, wanted, comment in commands():
            first, _, there = command.partition(" && cd ")
            wrong.append(check(folder, first, wanted, comment))
            folder = folder / there if there else folder
    finally:
        isthmus(folder, "destroy", "--yes", ok=False)
    assert [each for each in wrong if each] == []


def test_the_japanese_pages_show_the_same_commands_with_what_they_print():
    assert blocks((ROOT / "docs" / "ja" / "tutorial.md").read_text()) == blocks()
    readme = {text for _, text in blocks((ROOT / "README.md").read_text())}
    japanese = {text for _, text in blocks((ROOT / "docs" / "ja" / "index.md").read_text())}
    assert len(japanese) == 3
    assert japanese <= readme
