"""StateStore: compare-and-swap, linearizable per key, tokens that are never given twice."""

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters import targets
from isthmus.errors import Conflict, Invalid
from isthmus.tests.conformance.places import fresh

pytestmark = pytest.mark.ports("state")


def test_a_document_is_read_back_with_the_token_that_its_writer_got(target):
    token = target.state.put("views/item", b"\x00{}", expect=None)
    found = target.state.get("views/item")
    assert (found.value, found.token) == (b"\x00{}", token)
    assert found.written_at.tzinfo is not None


def test_an_absent_key_is_none(target):
    assert target.state.get("views/none") is None


def test_expecting_absence_of_what_is_there_conflicts(target):
    target.state.put("k", b"1", expect=None)
    with pytest.raises(Conflict):
        target.state.put("k", b"2", expect=None)
    assert target.state.get("k").value == b"1"


def test_a_stale_token_conflicts_for_put_and_delete(target):
    old = target.state.put("k", b"1", expect=None)
    target.state.put("k", b"2", expect=old)
    with pytest.raises(Conflict):
        target.state.put("k", b"3", expect=old)
    with pytest.raises(Conflict):
        target.state.delete("k", expect=old)
    assert target.state.get("k").value == b"2"


def test_writing_to_a_deleted_key_needs_absence(target):
    token = target.state.put("k", b"1", expect=None)
    target.state.delete("k", expect=token)
    assert target.state.get("k") is None
    with pytest.raises(Conflict):
        target.state.put("k", b"2", expect=token)
    with pytest.raises(Conflict):
        target.state.delete("k", expect=token)


def test_a_token_is_never_given_twice_for_a_b_a_nor_after_a_delete(target):
    tokens = [target.state.put("k", b"A", expect=None)]
    for value in (b"B", b"A"):
        tokens.append(target.state.put("k", value, expect=tokens[-1]))
    target.state.delete("k", expect=tokens[-1])
    tokens.append(target.state.put("k", b"A", expect=None))
    assert len(set(tokens)) == 4


def test_64_kib_fit_and_one_byte_more_does_not(target):
    token = target.state.put("k", b"x" * 65536, expect=None)
    with pytest.raises(Invalid):
        target.state.put("k", b"x" * 65537, expect=token)
    assert len(target.state.get("k").value) == 65536


def test_keys_are_listed_by_prefix_in_order_and_wildcards_mean_nothing(target):
    for key in ("views/b", "views/a", "views_x/a", "runs/1", "views/%"):
        target.state.put(key, b"", expect=None)
    assert target.state.keys("views/") == ("views/%", "views/a", "views/b")
    assert target.state.keys("views_") == ("views_x/a",)
    assert target.state.keys("no") == ()
    assert len(target.state.keys("")) == 5


def test_a_put_that_was_cut_is_decided_by_reading_again(target, cut):
    with cut:
        target.state.put("k", b"mine", expect=None)
    found = target.state.get("k")
    assert (found is not None) == (cut.kind == "after")
    token = found.token if found else target.state.put("k", b"mine", expect=None)
    with pytest.raises(Conflict):
        target.state.put("k", b"mine", expect=None)
    assert target.state.get("k").token == token


def test_a_delete_that_was_cut_is_decided_by_reading_again(target, cut):
    token = target.state.put("k", b"1", expect=None)
    with cut:
        target.state.delete("k", expect=token)
    if target.state.get("k") is not None:
        target.state.delete("k", expect=token)
    assert target.state.get("k") is None
    with pytest.raises(Conflict):
        target.state.delete("k", expect=token)


steps = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["put", "put stale", "delete", "delete stale"]),
        st.binary(max_size=3),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps=steps)
def test_any_sequence_of_writes_agrees_with_a_dictionary(adapter, steps):
    with tempfile.TemporaryDirectory() as home:
        target = targets.load(fresh(adapter, home))
        model, seen = {}, set()
        for key, verb, value in steps:
            token = model.get(key, (None, None))[1]
            expect = "999999" if verb.endswith("stale") else token
            must_conflict = verb.endswith("stale") or (verb == "delete" and token is None)
            try:
                if verb.startswith("put"):
                    token_now = target.state.put(key, value, expect=expect)
                    assert token_now not in seen
                    seen.add(token_now)
                    model[key] = (value, token_now)
                else:
                    target.state.delete(key, expect=expect or "1")
                    del model[key]
            except Conflict:
                assert must_conflict
            else:
                assert not must_conflict
            found = target.state.get(key)
            assert (found.value if found else None) == model.get(key, (None, None))[0]
        target.close()
