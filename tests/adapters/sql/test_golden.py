"""Each cloud's SQL, as text that people have reviewed: emulators translate back and cannot judge it
(PORTS.md, section 4).

After a deliberate change: ISTHMUS_WRITE_GOLDEN=1 pytest tests/adapters/sql; then read the diff
beside the pages that adapters/<x>/sql.py names.
"""

import os
from pathlib import Path

import pytest

from isthmus.adapters.sagemaker import sql as athena
from isthmus.adapters.vertex import sql as bigquery

from .example import texts

GOLDEN = Path(__file__).parent / "golden"
ENGINES = {"athena": athena, "bigquery": bigquery}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", texts())
def test_a_rendering_is_the_reviewed_text(name, engine):
    rendered = ENGINES[engine].render(texts()[name]).sql + "\n"
    file = GOLDEN / f"{name}.{engine}.sql"
    if os.environ.get("ISTHMUS_WRITE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text()


def test_no_golden_text_is_left_over():
    assert {file.name for file in GOLDEN.iterdir()} == {
        f"{name}.{engine}.sql" for name in texts() for engine in ENGINES
    }


def test_windows_in_time_are_rewritten_for_bigquery_and_none_for_athena():
    views = [sql for name, sql in texts().items() if not name.startswith("events_")]
    assert sum(bigquery.render(sql).windows_rewritten for sql in views) == 5
    assert sum(athena.render(sql).windows_rewritten for sql in views) == 0
