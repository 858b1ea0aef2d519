"""The pages of docs/ that are made from code are what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def generator():
    found = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(generator().PAGES))
def test_a_generated_page_is_up_to_date(page):
    assert (DOCS / page).read_text(encoding="utf-8") == generator().PAGES[page](), "run `make docs` and commit the page"


def test_the_parity_page_has_a_line_for_every_row_of_the_local_target():
    from isthmus.adapters.local.capabilities import CAPABILITIES

    lines = generator().parity().splitlines()
    for name in CAPABILITIES:
        assert [line for line in lines if line.startswith(f"| {name} | ")], name
        assert f"### {name}" in lines
