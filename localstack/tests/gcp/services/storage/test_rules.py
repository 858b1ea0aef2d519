"""What Storage lists, and when a precondition holds: without a server."""

import base64
import hashlib
from datetime import UTC, datetime

import google_crc32c
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.gcp.core.errors import GcpError
from isthmus_stack.gcp.services.storage import (
    content,
    listing,
    partial_answers,
    preconditions,
    records,
)

NAMES = ("foo/bar", "foo/baz", "foo/foobar", "foobar", "a.b", "aXb")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("foo*bar", {"foobar"}),
        ("foo**bar", {"foo/bar", "foo/foobar", "foobar"}),
        ("**/foobar", {"foo/foobar", "foobar"}),
        ("*/ba[rz]", {"foo/bar", "foo/baz"}),
        ("*/ba[!a-y]", {"foo/baz"}),
        ("**/{foobar,baz}", {"foo/baz", "foo/foobar", "foobar"}),
        ("a.b", {"a.b"}),
        ("a?b", {"a.b", "aXb"}),
        ("**", set(NAMES)),
    ],
)
def test_a_glob_stops_at_slashes_unless_it_has_two_stars(pattern, names):
    assert {name for name in NAMES if listing.glob(pattern).fullmatch(name)} == names


names = st.text(alphabet="ab/é", min_size=1, max_size=5)
versions = st.lists(st.tuples(names, st.integers(1, 3)), unique=True, max_size=12).map(sorted)


@given(
    versions=versions,
    prefix=st.sampled_from(["", "a", "a/"]),
    delimiter=st.sampled_from(["", "/"]),
    most=st.integers(1, 4),
)
def test_pages_of_any_size_together_are_the_whole_listing(versions, prefix, delimiter, most):
    asked = listing.ListQuery(prefix=prefix, delimiter=delimiter, trailing=bool(most % 2))
    whole = listing.page(versions, asked)
    entries, token = [], ""
    while token is not None:
        page = listing.page(versions, msgspec.structs.replace(asked, most=most, token=token))
        assert 1 <= len(page.entries) <= most or not whole.entries
        entries += page.entries
        token = page.token
    assert entries == list(whole.entries)
    objects = [(entry.name, entry.generation) for entry in entries if entry.generation]
    below = [version for version in versions if version[0].startswith(prefix)]
    assert set(objects) <= set(below)
    for name, generation in below:
        folded = delimiter and delimiter in name[len(prefix) :]
        assert folded or (name, generation) in objects
        assert not folded or prefix + name[len(prefix) :].partition("/")[0] + "/" in whole.prefixes


class Dated(msgspec.Struct):
    generation: int
    metageneration: int

    @property
    def etag(self):
        return records.etag(self.generation, self.metageneration)


small = st.none() | st.integers(0, 2)


@given(
    dated=st.none() | st.builds(Dated, st.integers(1, 2), st.integers(1, 2)),
    match=small,
    other=small,
    meta=small,
    other_meta=small,
)
def test_preconditions_hold_as_written_and_what_is_absent_has_generation_0(
    dated, match, other, meta, other_meta
):
    query = {
        "ifGenerationMatch": match,
        "ifGenerationNotMatch": other,
        "ifMetagenerationMatch": meta,
        "ifMetagenerationNotMatch": other_meta,
    }
    asked = preconditions.parse_conditions(
        {key: str(value) for key, value in query.items() if value is not None}
    )
    generation = dated.generation if dated else 0
    metageneration = dated.metageneration if dated else None
    matches = match in (None, generation) and meta in (None, metageneration)
    differs = other != generation and (dated is None or other_meta != metageneration)
    if matches:
        assert asked.is_modified(dated) is differs
    else:
        with pytest.raises(GcpError, match="pre-conditions") as refusal:
            asked.is_modified(dated)
        assert (refusal.value.http, refusal.value.reason) == (412, "conditionNotMet")
    if matches and differs:
        asked.require(dated)
    else:
        with pytest.raises(GcpError):
            asked.require(dated)


@given(parts=st.lists(st.binary(max_size=50), max_size=5))
def test_checksums_are_those_of_the_bytes_however_they_came(tmp_path_factory, parts):
    whole = b"".join(parts)
    written = content.write_content(tmp_path_factory.getbasetemp(), parts)
    assert b"".join(content.parts(written)) == whole
    assert (
        written.md5 == base64.b64encode(hashlib.md5(whole, usedforsecurity=False).digest()).decode()
    )
    assert written.crc32c == base64.b64encode(google_crc32c.value(whole).to_bytes(4)).decode()
    content.check_checksums(written, {"md5Hash": written.md5, "crc32c": written.crc32c})
    with pytest.raises(GcpError, match="doesn't match calculated CRC32C"):
        content.check_checksums(written, {"crc32c": "AAAAAQ=="})
    written.remove()


def test_a_hash_that_is_no_canonical_base64_is_passed_over():
    assert content.checksums_in_header("crc32c=FFFFFF==,md5=XUFAKrxLKna5cZ2REBfFkg==") == {
        "md5Hash": "XUFAKrxLKna5cZ2REBfFkg=="
    }


def test_a_partial_answer_holds_what_its_fields_name():
    answer = {
        "kind": "k",
        "items": [{"name": "a", "size": "1", "acl": {"role": "R", "id": "i"}}, {"name": "b"}],
        "nextPageToken": "t",
    }
    assert partial_answers.selected(answer, None) == answer
    assert partial_answers.selected(answer, "items(name, acl/role),nextPageToken") == {
        "items": [{"name": "a", "acl": {"role": "R"}}, {"name": "b"}],
        "nextPageToken": "t",
    }
    assert partial_answers.selected(answer, "items/*/role") == {
        "items": [{"name": "a", "size": "1", "acl": {"role": "R"}}, {"name": "b"}]
    }
    for wrong in ("items(name", "items)", ",kind"):
        with pytest.raises(GcpError, match="Invalid field selection"):
            partial_answers.selected(answer, wrong)


def test_of_what_is_deleted_softly_the_oldest_goes_when_there_are_too_many_bytes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(records, "SOFT_BYTES", 10)
    now = datetime.now(UTC)
    bucket = records.Bucket(name="b", project="p", generation=1, created=now, updated=now)
    for number, size in enumerate((4, 4, 4, 11, 1)):
        written = content.write_content(tmp_path, [b"x" * size])
        version = records.Version(
            bucket="b",
            name="k",
            generation=number,
            content=written,
            created=now,
            updated=now,
            class_changed=now,
        )
        bucket.delete_softly(version, now)
    assert [version.generation for version in bucket.restorable(now)] == [4]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]
