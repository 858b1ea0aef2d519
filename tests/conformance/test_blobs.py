"""BlobStore: bytes under uris below `root`; a write is whole or absent."""

import pytest

from isthmus.errors import Invalid, NotFound

pytestmark = pytest.mark.ports("blobs")


def uris(store, prefix):
    return [blob.uri for blob in store.list(prefix)]


def test_what_was_put_is_read_back_and_the_last_writer_wins(target):
    uri = f"{target.blobs.root}/runs/r1/record.json"
    target.blobs.put(uri, b"one")
    target.blobs.put(uri, b"two")
    assert target.blobs.get(uri) == b"two"


@pytest.mark.parametrize("key", ["runs/a b/c%41.json", "runs/é/ü.txt", "runs/#1?x=y"])
def test_a_uri_is_taken_letter_by_letter(target, key):
    uri = f"{target.blobs.root}/{key}"
    target.blobs.put(uri, b"x")
    assert uris(target.blobs, f"{target.blobs.root}/runs/") == [uri]
    assert target.blobs.get(uri) == b"x"


def test_reading_what_is_not_there_is_not_found(target):
    with pytest.raises(NotFound):
        target.blobs.get(f"{target.blobs.root}/runs/none")


def test_listing_is_in_uri_order_with_sizes(target):
    root = target.blobs.root
    for key in ("runs/a/z", "runs/a.b", "runs/a0", "runs/a/b/c", "models/m"):
        target.blobs.put(f"{root}/{key}", key.encode())
    found = list(target.blobs.list(f"{root}/runs/"))
    assert [blob.uri for blob in found] == sorted(
        f"{root}/runs/{key}" for key in ("a/z", "a.b", "a0", "a/b/c")
    )
    assert [blob.size for blob in found] == [len(blob.uri) - len(root) - 1 for blob in found]
    assert all(blob.modified.tzinfo is not None for blob in found)


def test_a_prefix_may_end_in_the_middle_of_a_name(target):
    root = target.blobs.root
    for key in ("runs/r1/x", "runs/r12/x", "runs/r2/x"):
        target.blobs.put(f"{root}/{key}", b"")
    assert uris(target.blobs, f"{root}/runs/r1") == [f"{root}/runs/r1/x", f"{root}/runs/r12/x"]
    assert uris(target.blobs, f"{root}/runs/r9") == []


def test_deleting_what_is_absent_succeeds(target):
    uri = f"{target.blobs.root}/runs/gone"
    target.blobs.delete(uri)
    target.blobs.put(uri, b"x")
    target.blobs.delete(uri)
    target.blobs.delete(uri)
    assert uris(target.blobs, f"{target.blobs.root}/runs/") == []


def test_a_folder_goes_up_and_comes_down_unchanged(target, tmp_path):
    source = tmp_path / "model"
    (source / "deep").mkdir(parents=True)
    (source / "a.bin").write_bytes(bytes(range(256)) * 5000)
    (source / "deep" / "z.json").write_text("{}")
    (source / "manifest.json").write_text("[]")
    prefix = f"{target.blobs.root}/models/m/1"
    target.blobs.upload(source, prefix)
    target.blobs.download(prefix, tmp_path / "down")
    down = {
        path.relative_to(tmp_path / "down").as_posix(): path.read_bytes()
        for path in (tmp_path / "down").rglob("*")
        if path.is_file()
    }
    assert down == {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file()
    }


def test_downloading_nothing_is_not_found_and_siblings_do_not_count(target, tmp_path):
    target.blobs.put(f"{target.blobs.root}/models/m/10/a", b"x")
    with pytest.raises(NotFound):
        target.blobs.download(f"{target.blobs.root}/models/m/1", tmp_path / "down")


@pytest.mark.parametrize(
    "bad",
    ["s3://elsewhere/x", "{root}x/y", "{root}/../outside", "{root}/a//b", "{root}/a/./b", "{root}"],
)
def test_a_uri_outside_the_root_is_refused(target, bad):
    uri = bad.format(root=target.blobs.root)
    store = target.blobs
    for verb in (lambda: store.put(uri, b""), lambda: store.get(uri), lambda: store.delete(uri)):
        with pytest.raises(Invalid):
            verb()
    assert not [call for call in target.calls.calls if call.mutating]


@pytest.mark.parametrize("bad", ["s3://elsewhere/", "{root}x/", "{root}/../", "{root}/runs//x"])
def test_a_prefix_outside_the_root_is_refused_before_anything_is_read(target, bad):
    with pytest.raises(Invalid):
        target.blobs.list(bad.format(root=target.blobs.root))


def test_a_put_that_was_cut_can_be_repeated(target, cut):
    uri = f"{target.blobs.root}/runs/r/record.json"
    with cut:
        target.blobs.put(uri, b"x")
    for _ in range(2):
        target.blobs.put(uri, b"x")
    assert target.blobs.get(uri) == b"x"
    assert uris(target.blobs, f"{target.blobs.root}/runs/") == [uri]


def test_an_upload_that_was_cut_can_be_repeated(target, cut, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_text("a")
    prefix = f"{target.blobs.root}/models/m"
    with cut:
        target.blobs.upload(tmp_path / "f", prefix)
    for _ in range(2):
        target.blobs.upload(tmp_path / "f", prefix)
    assert uris(target.blobs, prefix) == [f"{prefix}/a"]


def test_a_delete_that_was_cut_can_be_repeated(target, cut):
    uri = f"{target.blobs.root}/runs/r"
    target.blobs.put(uri, b"x")
    with cut:
        target.blobs.delete(uri)
    for _ in range(2):
        target.blobs.delete(uri)
    with pytest.raises(NotFound):
        target.blobs.get(uri)
