"""What a page of docs/, or of the stacks, shows of a command, and whether what was printed is that:
times, ids and ports may differ.
"""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
STACK_DOCS = Path(__file__).parents[2] / "localstack" / "docs"
# what took no time worth saying has none at its line's end
MASKS = {
    r" +\d+\.\d+ s$": "",
    r"\d+\.\d+ s\b": "0.0 s",
    r"127\.0\.0\.1:\d+": "127.0.0.1:1",
    r"(?<=to go on:).*": "",
    r" +": " ",
}


def masked(line):
    for pattern, instead in MASKS.items():
        line = re.sub(pattern, instead, line)
    return line.strip()


def pattern(lines):
    """What was printed, as a page has it: a line `...` stands for any lines."""
    return "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(masked(line)) + "\n" for line in lines
    )


def block_of(page, command):
    """The lines that a page shows below a command."""
    place = next(folder / page for folder in (DOCS, STACK_DOCS) if (folder / page).exists())
    shown = place.read_text().partition(f"\n$ {command}\n")[2]
    assert shown, f"{page} does not show {command}"
    return re.split(r"^(?:\$ .*|```)$", shown, maxsplit=1, flags=re.MULTILINE)[0].splitlines()
