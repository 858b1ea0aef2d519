"""Objects, by the genuine client: how they come and go, and that no precondition is passed over."""

import gzip
import io
import os
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from google.api_core import exceptions

MIB = 1 << 20


def names(blobs):
    return [blob.name for blob in blobs]


def test_what_is_written_is_read_with_checksums_metadata_and_ranges(bucket):
    blob = bucket.blob("a/b é?#.txt")
    blob.metadata = {"colour": "blue"}
    blob.cache_control = "no-store"
    blob.upload_from_string(b"Hello World", content_type="text/plain")
    assert (blob.md5_hash, blob.crc32c, blob.size) == ("sQqNsWTgdUEFt6mb5y4/5Q==", "aR2qLw==", 11)
    again = bucket.get_blob("a/b é?#.txt")
    assert (again.metadata, again.cache_control, again.content_type) == (
        {"colour": "blue"},
        "no-store",
        "text/plain",
    )
    assert (again.generation, again.metageneration, again.etag) == (blob.generation, 1, blob.etag)
    assert again.download_as_bytes() == b"Hello World"
    assert again.download_as_bytes(start=6, end=8) == b"Wor"
    assert again.download_as_bytes(start=-3) == b"rld"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        again.download_as_bytes(start=11)


@pytest.mark.parametrize("chunk", [256 << 10, None])
def test_large_objects_come_in_parts_and_are_read_in_parts(bucket, chunk):
    data = os.urandom(9 * MIB + 5)
    blob = bucket.blob("large", chunk_size=chunk and MIB)
    blob.upload_from_file(io.BytesIO(data), checksum="crc32c")
    assert bucket.blob("large", chunk_size=chunk and 3 * MIB).download_as_bytes() == data
    with bucket.blob("large").open("wb", chunk_size=256 << 10) as writer:
        writer.write(data)
    with bucket.blob("large").open("rb", chunk_size=MIB) as reader:
        reader.seek(5)
        assert reader.read() == data[5:]


def test_wrong_checksums_are_refused_and_nothing_is_kept(bucket):
    blob = bucket.blob("wrong")
    for more in ({}, {"size": None}):  # in one piece, and in parts
        with pytest.raises(exceptions.BadRequest, match="doesn't match calculated CRC32C"):
            blob.upload_from_file(io.BytesIO(b"hello"), crc32c_checksum_value="AAAAAQ==", **more)
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated MD5"):
        blob.upload_from_string(b"hello")
    assert not bucket.blob("wrong").exists()


def test_gzip_is_expanded_for_whoever_does_not_ask_for_it(gcp, bucket):
    blob = bucket.blob("zipped")
    blob.content_encoding = "gzip"
    zipped = gzip.compress(b"x" * 5000)
    blob.upload_from_string(zipped)
    assert blob.download_as_bytes() == b"x" * 5000
    assert blob.download_as_bytes(raw_download=True) == zipped
    status, headers, body = ask(gcp, "GET", "/storage/v1/b/shop/o/zipped?alt=media")
    assert (status, body, headers.get("Content-Encoding")) == (200, b"x" * 5000, None)


STALE = {"if_generation_match": 6, "if_metageneration_match": 9}


@pytest.mark.parametrize(
    "verb",
    [
        "upload",
        "resumable",
        "get",
        "download",
        "patch",
        "update",
        "delete",
        "compose",
        "rewrite",
        "copy",
        "acl",
    ],
)
@pytest.mark.parametrize(("condition", "value"), STALE.items())
def test_a_stale_precondition_is_412_for_every_verb_and_changes_nothing(
    bucket, verb, condition, value
):
    blob, other = bucket.blob("k"), bucket.blob("other")
    blob.upload_from_string(b"one")
    other.upload_from_string(b"two")
    stale, before = {condition: value}, blob.generation
    verbs = {
        "upload": lambda: blob.upload_from_string(b"new", **stale),
        "resumable": lambda: blob.upload_from_file(io.BytesIO(b"new"), **stale),
        "get": lambda: blob.reload(**stale),
        "download": lambda: blob.download_as_bytes(**stale),
        "patch": lambda: blob.patch(**stale),
        "update": lambda: blob.update(**stale),
        "delete": lambda: blob.delete(**stale),
        "compose": lambda: blob.compose([other], **stale),
        "rewrite": lambda: blob.rewrite(other, **stale),
        "copy": lambda: bucket.copy_blob(other, bucket, "k", **stale),
        "acl": lambda: blob.acl.save(acl=[], **stale),
    }
    with pytest.raises(exceptions.PreconditionFailed) as refusal:
        verbs[verb]()
    if verb not in (
        "download",
        "resumable",
        "upload",
    ):  # of bytes the client tells the status alone
        assert refusal.value.errors[0]["reason"] == "conditionNotMet"
    now = bucket.get_blob("k")
    assert (now.generation, now.metageneration, now.download_as_bytes()) == (before, 1, b"one")


def test_conditions_of_absence_and_of_sources(bucket):
    blob = bucket.blob("k")
    blob.upload_from_string(b"one", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string(b"two", if_generation_match=0)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.NotModified):
        blob.download_as_bytes(if_etag_not_match=blob.etag)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("absent").delete(if_generation_match=5)
    for more in ({"if_source_generation_match": 6}, {"if_source_metageneration_match": 9}):
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.copy_blob(blob, bucket, "copy", **more)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("copy").rewrite(blob, **more)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("joined").compose([blob], if_source_generation_match=[6])
    assert names(bucket.list_blobs()) == ["k"]


def test_versions_stay_until_they_are_deleted_by_their_generation(versioned):
    blob = versioned.blob("k")
    generations = []
    for text in (b"one", b"two"):
        blob.upload_from_string(text)
        generations.append(blob.generation)
    versioned.blob("k").delete()
    assert names(versioned.list_blobs()) == []
    old = list(versioned.list_blobs(versions=True))
    assert [version.generation for version in old] == generations
    assert all(version.time_deleted for version in old)
    assert versioned.blob("k", generation=generations[0]).download_as_bytes() == b"one"
    with pytest.raises(exceptions.Conflict, match="not empty"):
        versioned.delete()
    for version in old:
        version.delete()
    versioned.delete()


def test_copies_share_no_fate_and_compositions_have_no_md5(client, bucket):
    parts = [bucket.blob(f"part/{number}") for number in range(3)]
    for number, part in enumerate(parts):
        part.upload_from_string(b"%d" % number * 5, content_type="text/plain")
    whole = bucket.blob("whole")
    whole.compose(parts)
    assert (whole.download_as_bytes(), whole.md5_hash, whole.component_count) == (
        b"000001111122222",
        None,
        3,
    )
    elsewhere = client.create_bucket("elsewhere")
    copy = bucket.copy_blob(parts[1], elsewhere, "copied")
    parts[1].delete()
    assert (copy.download_as_bytes(), copy.content_type) == (b"11111", "text/plain")
    moved = elsewhere.move_blob(copy, "moved/x")
    assert (names(elsewhere.list_blobs()), moved.download_as_bytes()) == (["moved/x"], b"11111")


def test_a_rewrite_goes_on_from_its_token(bucket):
    data = os.urandom(2 * MIB + 1)
    source, goal = bucket.blob("source"), bucket.blob("goal")
    source.upload_from_string(data)
    path, token, seen = "/b/shop/o/source/rewriteTo/b/shop/o/goal", "", []
    while token is not None:
        query = {"maxBytesRewrittenPerCall": MIB, "rewriteToken": token}
        answer = bucket.client._post_resource(path, {}, query_params=query)
        token = answer.get("rewriteToken")
        seen.append(int(answer["totalBytesRewritten"]))
        assert goal.exists() is (token is None)
    assert seen == [MIB, 2 * MIB, 2 * MIB + 1]
    assert goal.download_as_bytes() == data


def test_a_batch_does_each_of_its_calls_and_tells_the_first_failure(gcp, client, bucket):
    for name in ("a", "b", "c"):
        bucket.blob(name).upload_from_string(b"")
    with pytest.raises(exceptions.NotFound, match="No such object: shop/none"), client.batch():  # noqa: PT012  it fails at its end
        bucket.blob("a").delete()
        bucket.blob("none").delete()
        bucket.blob("b").patch()
        bucket.blob("c").delete()
    assert names(bucket.list_blobs()) == ["b"]
    assert [call.status for call in gcp.calls() if call.operation == "storage.objects.delete"] == [
        204,
        404,
        204,
    ]


def ask(gcp, method, path, headers=None, body=None):
    connection = HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_an_upload_in_parts_is_asked_how_far_it_is_goes_on_from_there_and_can_be_given_up(
    gcp, bucket
):
    def begin(name):
        _, headers, _ = ask(
            gcp, "POST", f"/upload/storage/v1/b/shop/o?uploadType=resumable&name={name}", body=b"{}"
        )
        return headers["Location"].removeprefix(gcp.url)

    unit, place = 256 << 10, begin("k")
    data = os.urandom(2 * unit + 7)
    assert ask(gcp, "PUT", place, {"Content-Range": "bytes */*"})[0] == 308
    status, headers, _ = ask(
        gcp, "PUT", place, {"Content-Range": f"bytes 0-{unit - 1}/*"}, data[:unit]
    )
    assert (status, headers["Range"]) == (308, f"bytes=0-{unit - 1}")
    status, _, body = ask(
        gcp, "PUT", place, {"Content-Range": f"bytes {unit}-{unit + 99}/*"}, data[unit : unit + 100]
    )
    assert (status, b"multiples of" in body) == (400, True)
    ask(
        gcp, "PUT", place, {"Content-Range": f"bytes 0-{2 * unit - 1}/*"}, data[: 2 * unit]
    )  # what is there already is passed over
    assert (
        ask(gcp, "PUT", place, {"Content-Range": f"bytes */{len(data)}"})[1]["Range"]
        == f"bytes=0-{2 * unit - 1}"
    )
    last = {"Content-Range": f"bytes {2 * unit}-{len(data) - 1}/{len(data)}"}
    assert ask(gcp, "POST", place, last, data[2 * unit :])[0] == 200  # fsspec's way
    assert (
        ask(gcp, "PUT", place, last, data[2 * unit :])[0] == 200
    )  # the reply was lost: the same again
    assert bucket.blob("k").download_as_bytes() == data
    place = begin("given-up")
    assert ask(gcp, "DELETE", place)[0] == 499
    assert ask(gcp, "PUT", place, {"Content-Range": "bytes */*"})[0] == 404
    assert names(bucket.list_blobs()) == ["k"]


def test_bad_requests_are_answered_in_the_services_shape(gcp, bucket):
    for method, path, body, status, reason in (
        ("GET", "/storage/v1/b/none", None, 404, b'"reason":"notFound"'),
        ("GET", "/storage/v1/b/shop/o/none", None, 404, b"No such object: shop/none"),
        ("POST", "/storage/v1/b?project=p", b"{", 400, b"Invalid JSON"),
        (
            "POST",
            "/storage/v1/b?project=p",
            b'{"name": "UPPER"}',
            400,
            b"Invalid bucket name: 'UPPER'",
        ),
        ("POST", "/storage/v1/b", b'{"name": "fine"}', 400, b"Required parameter: project"),
        ("POST", "/storage/v1/b?project=p", b'{"name": "shop"}', 409, b'"reason":"conflict"'),
        ("POST", "/upload/storage/v1/b/shop/o?uploadType=multipart", b"--x", 400, b"boundary"),
        (
            "POST",
            "/upload/storage/v1/b/shop/o?uploadType=media",
            b"x",
            400,
            b"Required parameter: name",
        ),
        (
            "POST",
            "/upload/storage/v1/b/none/o?uploadType=media&name=k",
            b"x",
            404,
            b"bucket does not exist",
        ),
        (
            "POST",
            "/upload/storage/v1/b/shop/o?uploadType=other&name=k",
            b"x",
            400,
            b"Invalid upload type",
        ),
        ("GET", "/storage/v1/b/shop/o?pageToken=%21", None, 400, b"Invalid page token"),
        ("GET", "/storage/v1/b/shop/o/k?generation=x", None, 400, b"Invalid value for generation"),
        ("POST", "/batch/storage/v1", b"x", 400, b"multipart/mixed"),
        (
            "GET",
            "/storage/v1/b/shop/anywhereCaches",
            None,
            501,
            b"not supported by the offline GCP yet",
        ),
        ("GET", "/shop/k?X-Goog-Signature=00", None, 400, b"Invalid argument"),
        ("POST", "/shop/", b"x", 400, b"exactly one file"),
        ("GET", "/shop/k", None, 404, b"<Code>NoSuchKey</Code>"),
    ):
        answer = ask(gcp, method, path, body=body)
        assert (answer[0], reason in answer[2]) == (status, True), (method, path, answer[2])
    assert names(bucket.list_blobs()) == []


def test_the_door_and_parallel_uploads_need_nothing_in_the_code(gcp):
    code = """
import os, tempfile
from google.cloud import storage
from google.cloud.storage import transfer_manager
bucket = storage.Client().create_bucket("through-the-door")
data = os.urandom(11 << 20)
with tempfile.NamedTemporaryFile() as file:
    file.write(data)
    file.flush()
    threads = transfer_manager.THREAD
    blob = bucket.blob("../dir/\\U0001f681")
    blob.metadata = {"colour": "blue"}
    transfer_manager.upload_chunks_concurrently(file.name, blob, chunk_size=5 << 20, worker_type=threads)
    transfer_manager.download_chunks_concurrently(bucket.blob(blob.name), file.name, chunk_size=3 << 20, worker_type=threads)
    assert open(file.name, "rb").read() == data
blob.reload()
print(blob.name, blob.metadata, blob.size, blob.self_link.split("/")[2])
"""
    assert gcp.run(code).split() == [
        "../dir/\U0001f681",
        "{'colour':",
        "'blue'}",
        str(11 << 20),
        "storage.googleapis.com",
    ]


def test_signed_urls_hold_for_what_was_signed_and_until_their_time(gcp):
    code = """
import requests
from google.cloud import storage
bucket = storage.Client().create_bucket("signed")
blob = bucket.blob("a b")
blob.upload_from_string(b"one")
for version in ("v2", "v4"):
    url = blob.generate_signed_url(expiration=60 if version == "v4" else 4_000_000_000, version=version)
    print(requests.get(url).content.decode(), requests.delete(url).status_code, requests.get(url.replace("a%20b", "other")).status_code)
print(blob.generate_signed_url(expiration=60, version="v4"))
"""
    *lines, url = gcp.run(code).splitlines()
    assert lines == ["one 403 403"] * 2
    gcp.advance(61)
    path = url.removeprefix("https://storage.googleapis.com")
    assert (
        b"<Code>ExpiredToken</Code>" in ask(gcp, "GET", path, {"Host": "storage.googleapis.com"})[2]
    )
