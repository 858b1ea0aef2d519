"""What a cache of online rows may give, and when it asks again."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from isthmus.feature_store.online import row_cache
from isthmus.feature_store.online.row_cache import RowCache


class Store:
    """Counts what is asked of it. A row says when it was read."""

    def __init__(self):
        self.now = 0.0
        self.asked = []

    def get(self, keys):
        self.asked.append({view: list(view_keys) for view, view_keys in keys.items()})
        return {
            view: [None if key == "none" else {"key": key, "read": self.now} for key in view_keys]
            for view, view_keys in keys.items()
        }


def cached(keep=1):
    store = Store()
    return store, RowCache(store, timedelta(seconds=keep), clock=lambda: store.now)


keys = st.lists(st.sampled_from(["x", "y", "none"]), max_size=3)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 16).map(lambda n: n / 8), st.dictionaries(st.sampled_from("ab"), keys)
        )
    )
)
def test_every_key_gets_its_row_never_older_than_is_allowed_and_is_asked_for_once_a_while(steps):
    store, cache = cached()
    last = {}
    for passed, wanted in steps:
        store.now += passed
        asked = len(store.asked)
        rows = cache.get(wanted)
        assert {view: len(of_view) for view, of_view in rows.items()} == {
            view: len(keys) for view, keys in wanted.items()
        }
        for view, keys in wanted.items():
            for key, row in zip(keys, rows[view], strict=True):
                assert (row is None) == (key == "none")
                assert row is None or (row["key"] == key and store.now - row["read"] < 1)
        for asking in store.asked[asked:]:
            for view, keys in asking.items():
                assert len(set(keys)) == len(keys)
                for key in keys:
                    assert store.now >= last.get((view, key), -1) + 1
                    last[view, key] = store.now


def test_who_gets_a_row_may_change_it():
    _, cache = cached()
    cache.get({"a": ["x"]})["a"][0].clear()
    first, second = cache.get({"a": ["x", "x"]})["a"]
    first.clear()
    assert second == {"key": "x", "read": 0.0}


def test_it_holds_no_more_than_so_many_rows(monkeypatch):
    monkeypatch.setattr(row_cache, "_MOST", 10)
    store, cache = cached()
    for n in range(50):
        store.now += 0.2
        cache.get({"a": [f"k{n}"]})
        assert sum(map(len, cache._views.values())) <= 10
    asked = len(store.asked)
    cache.get({"a": ["k49"]})
    assert len(store.asked) == asked
