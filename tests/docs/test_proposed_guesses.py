"""The guesses of `init --from` in docs/your-data.md, and those of the logs that they are about."""

import re
from pathlib import Path

import pytest

import isthmus as im
from isthmus.tests.lifecycle.start import sample_logs

PAGE = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text()
BLOCKS = re.findall(r"^ *```\n((?: *guessed .+\n)+) *```$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    ("shape", "block"), [("english_csv", 0), ("stars_as_grades", 1)], ids=["clicks", "stars"]
)
def test_the_page_shows_what_a_log_is_guessed_to_be(tmp_path, shape, block):
    made = im.init(tmp_path / "mine", source=sample_logs.SHAPES[shape](tmp_path))
    shown = [line.split(maxsplit=1)[1] for line in BLOCKS[block].splitlines()]
    assert len(BLOCKS) == 2
    assert [guess for guess in shown if guess not in made.guesses] == []
