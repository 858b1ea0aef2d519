"""State in an object store that takes one change of an object a second, as Cloud Storage does."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from isthmus.adapters.common.storage import documents
from isthmus.errors import Conflict, Throttled


class Log:
    def mutating(self, *_):
        return nullcontext()

    reading = mutating


class Slow:
    """One object in memory, on a clock that only its caller's pauses move."""

    def __init__(self):
        self.now, self.changed, self.number, self.object = 0.0, -1.0, 0, None

    def read(self, _key):
        return self.object and documents.StoredObject(
            body=self.object[1], token=self.object[0], written_at=datetime.now(UTC)
        )

    def look(self, _key):
        return self.object and documents.ObjectHead(
            token=self.object[0], nonce=self.object[2], tombstone=not self.object[1]
        )

    def write(self, _key, body, *, nonce, expect):
        if (self.object and self.object[0]) != expect:
            raise Conflict("another generation")
        self._change((str(self.number + 1), body, nonce))
        return self.object[0]

    def remove(self, _key, _token):
        self._change(None)

    def keys(self, _prefix):
        return iter(())

    def uri(self, key):
        return key

    def _change(self, new):
        if self.now - self.changed < 1:
            raise Throttled("the rate limit for object mutation operations")
        self.changed, self.number, self.object = self.now, self.number + 1, new


@pytest.fixture
def store(monkeypatch):
    slow = Slow()
    monkeypatch.setattr(
        documents.time, "sleep", lambda seconds: setattr(slow, "now", slow.now + seconds)
    )
    return slow


def test_changes_in_quick_succession_are_all_made_a_second_apart(store):
    state = documents.Documents(
        store,
        Log(),
        documents.Words(read="get", write="put", remove="delete", list="list"),
        "state",
    )
    token = state.put("locks/project", b"1", expect=None)
    state.delete("locks/project", expect=state.put("locks/project", b"2", expect=token))
    assert state.get("locks/project") is None
    state.put(
        "locks/project", b"3", expect=None
    )  # the deletion's own removal was refused: its tombstone stands
    assert state.get("locks/project").value == b"3"
    assert store.now < 10
