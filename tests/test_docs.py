"""The pages that follow from the code are up to date."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NEEDS = {"coverage.md": "moto", "coverage-gcp.md": "google.cloud.aiplatform_v1"}


def pages():
    found = importlib.util.spec_from_file_location("isthmus_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_what_the_code_says(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert (DOCS / name).read_text() == pages()[name](), "run `make docs` and commit the page"
