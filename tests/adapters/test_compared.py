"""The list in docs/parity.md of providers' own marks that adapters hold: no file that knows one is
left out.
"""

import re
from pathlib import Path

import isthmus
from isthmus.tests.conformance.provider_marks import MARKS

ADAPTERS = Path(isthmus.__file__).parent / "adapters"
WORDS = re.compile(
    r"\b(etag|ETag|LastModifiedTime|generation|PipelineVersionId)\b|\"VersionId\": (?!\"LATEST)"
)


def test_every_file_of_an_adapter_that_holds_a_providers_own_mark_is_in_the_list():
    holding = {
        str(path.relative_to(ADAPTERS))
        for path in ADAPTERS.rglob("*.py")
        if path.name != "capabilities.py" and WORDS.search(path.read_text(encoding="utf-8"))
    }
    listed = {file for mark in MARKS for file in mark.files}
    assert {file for file in listed if not (ADAPTERS / file).is_file()} == set()
    assert holding - listed == set()
