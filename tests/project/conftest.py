"""A copy of the example to make mistakes in."""

import shutil
from pathlib import Path

import pytest

from isthmus.project.load import parse

EXAMPLE = Path(__file__).parents[2] / "examples" / "openbandit"


class Folder:
    """A project's folder; `edit` replaces one passage and fails when it is not there, so that no
    case tests nothing.
    """

    def __init__(self, path):
        self.path = path

    def edit(self, file, old, new):
        text = (self.path / file).read_text()
        assert text.count(old) >= 1, f"{old!r} is not in {file}"
        (self.path / file).write_text(text.replace(old, new, 1))

    def write(self, file, text):
        (self.path / file).parent.mkdir(parents=True, exist_ok=True)
        (self.path / file).write_text(text)

    def line(self, file, passage):
        return next(
            n
            for n, line in enumerate((self.path / file).read_text().splitlines(), 1)
            if passage in line
        )

    def parse(self):
        return parse(self.path / "project.yaml")

    def problems(self):
        return self.parse()[1]

    def spec(self):
        description, problems = self.parse()
        assert description is not None, problems
        return description.spec


@pytest.fixture
def example(tmp_path):
    folder = tmp_path / "openbandit"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".isthmus", "__pycache__"))
    return Folder(folder)
