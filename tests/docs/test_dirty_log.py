"""The dirty file of docs/your-data.md: what is said of it, and the query that is proposed."""

import pytest

from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.shown import block_of, masked


@pytest.fixture
def project(tmp_path):
    isthmus(tmp_path, "init", "mine", "--example", "starter")
    folder = tmp_path / "mine"
    isthmus(folder, "apply")
    rows = [f"i{n};{n % 7 + 1:02d}.01.2026 00:04;{n % 40};{n % 3 + 1}" for n in range(200)]
    rows[118] = "i118;damaged"
    names = "event_id;event_timestamp;item_id;position"
    (folder / "log.csv").write_text("\n".join([names, *rows]) + "\n")
    return folder


def test_the_pages_dirty_file_is_refused_with_the_query_that_reads_it(project):
    command = "ingest log.csv --event impression"
    said = isthmus(project, *command.split(), ok=False)
    page = block_of("your-data.md", f"isthmus {command}")
    printed = [*said.out.splitlines(), *said.err.splitlines()]
    assert list(map(masked, printed)) == list(map(masked, page))
    query = said.err.partition("project.yaml: ")[2]
    (project / "sources" / "impression.sql").write_text(query)
    assert isthmus(project, "validate").code == 0
    command = "ingest --event impression"
    page = block_of("your-data.md", f"isthmus {command}")
    printed = isthmus(project, *command.split()).out.splitlines()
    assert list(map(masked, printed))[: len(page)] == list(map(masked, page))
