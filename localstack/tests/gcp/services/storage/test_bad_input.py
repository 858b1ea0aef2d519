"""Whatever comes, the answer is the service's: at once, 2xx or 4xx in its shape, never a failure of
the stack.
"""

from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_stack.gcp.services.storage import field_types

ROUTES = {
    "POST /storage/v1/b?project=p": field_types.BUCKET,
    "PATCH /storage/v1/b/shop": field_types.BUCKET,
    "PUT /storage/v1/b/shop": field_types.BUCKET,
    "PUT /storage/v1/b/shop/iam": field_types.POLICY,
    "POST /storage/v1/b/shop/acl": field_types.ENTRY,
    "PATCH /storage/v1/b/shop/o/k": field_types.OBJECT,
    "PUT /storage/v1/b/shop/o/k": field_types.OBJECT,
    "POST /storage/v1/b/shop/o/k/copyTo/b/shop/o/copy": field_types.OBJECT,
    "POST /storage/v1/b/shop/o/k/rewriteTo/b/shop/o/copy": field_types.OBJECT,
    "POST /storage/v1/b/shop/o/joined/compose": field_types.COMPOSITION,
    "POST /upload/storage/v1/b/shop/o?uploadType=resumable": field_types.OBJECT,
    "POST /storage/v1/b/shop/notificationConfigs": field_types.NOTIFICATION,
    "POST /storage/v1/b/shop/managedFolders": field_types.FOLDER,
}
json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=4),
    lambda below: (
        st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=3), below, max_size=2)
    ),
    max_leaves=4,
)


def bodies(shape):
    """JSON with the shape's names, and now and then of another type."""
    if shape is object:
        return json
    if shape in (field_types.Whole, field_types.Time, str, bool):
        right = {
            field_types.Whole: st.integers(0, 9) | st.sampled_from(["3", "-1"]),
            field_types.Time: st.sampled_from(
                ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z"]
            ),
            str: st.sampled_from(["k", "STANDARD", "allUsers", "READER", "roles/x", "", "é", "3"]),
            bool: st.booleans(),
        }[shape]
        return st.one_of(right, right, right, json)
    if isinstance(shape, list):
        return st.one_of(
            st.lists(bodies(shape[0]), max_size=2), st.lists(bodies(shape[0]), max_size=2), json
        )
    fields = {name if name != "*" else "x": bodies(below) for name, below in shape.items()}
    return st.one_of(
        st.fixed_dictionaries({}, optional=fields), st.fixed_dictionaries({}, optional=fields), json
    )


@pytest.fixture
def ask(gcp, bucket):
    connection = HTTPConnection(urlsplit(gcp.url).netloc, timeout=60)

    def asked(method, path, body=b"", headers=None):
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    bucket.blob("k").upload_from_string(b"one")
    yield asked
    connection.close()


@pytest.mark.parametrize("path", ROUTES)
def test_any_json_is_taken_or_refused(ask, path):
    method, _, place = path.partition(" ")

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(body=bodies(ROUTES[path]))
    def judge(body):
        status, answer = ask(method, place, msgspec.json.encode(body))
        assert 200 <= status < 300 or (
            400 <= status < 500 and msgspec.json.decode(answer)["error"]["code"] == status
        ), (body, answer)

    judge()
    assert ask("GET", "/storage/v1/b/shop?projection=full")[0] == 200
    assert ask("GET", "/storage/v1/b/shop/o?projection=full&versions=true")[0] == 200


PARAMETERS = (
    *(
        "generation",
        "ifGenerationMatch",
        "ifMetagenerationNotMatch",
        "maxResults",
        "pageToken",
        "matchGlob",
        "delimiter",
        "fields",
    ),
    *(
        "projection",
        "predefinedAcl",
        "sourceGeneration",
        "rewriteToken",
        "maxBytesRewrittenPerCall",
        "uploadType",
        "name",
        "kmsKeyName",
    ),
    *("partNumber", "uploadId", "uploads", "upload_id", "softDeleted"),
)
VALUES = (
    "",
    "0",
    "1",
    "-1",
    "x",
    "[",
    "{a,b",
    "a(b",
    "**/",
    "media",
    "resumable",
    "multipart",
    "true",
    "private",
)
PLACES = (
    *(
        "/storage/v1/b/shop",
        "/storage/v1/b/shop/o",
        "/storage/v1/b/shop/o/k",
        "/storage/v1/b/shop/o/k/rewriteTo/b/shop/o/copy",
    ),
    *(
        "/upload/storage/v1/b/shop/o",
        "/download/storage/v1/b/shop/o/k",
        "/shop/k",
        "/shop/new",
        "/batch/storage/v1",
    ),
)
BODIES = (
    *(b"", b"{", b"[]", b"null", b"{}", b"<a>", b"\xff\xfe"),
    b"--x\r\n\r\n{}\r\n--x\r\n\r\nab\r\n--x--",
    b"--x\r\n\r\nGET /storage/v1/b/shop HTTP/1.1\r\n\r\n\r\n--x--",
)
HEADERS = {
    "Range": ["bytes=1-0", "bytes=-0", "bytes=9-", "x", "bytes=0-99999999999999999999"],
    "Content-Range": ["bytes 0-3/4", "bytes */*", "bytes 5-1/9", "x", "bytes 0-2/2"],
    "Content-Type": [
        "multipart/related; boundary=x",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=x",
        "é",
    ],
    "X-Goog-Encryption-Key": ["", "!", "a2Vr"],
    "X-Goog-Hash": ["crc32c=", "md5=,,", "crc32c=AAAAAA=="],
    "X-Goog-Resumable": ["start"],
    "Content-MD5": ["x"],
}


def test_what_is_said_of_an_object_ends_no_header(bucket, ask):
    """Words of any language arrive; a line break begins no header of its own."""
    blob = bucket.blob("k")
    blob.content_disposition = 'attachment; filename="日本.txt"\r\nX-Evil: 1'
    blob.metadata = {"a b\r\nX-Evil": "1"}
    blob.upload_from_string(b"ab")
    blob.reload()
    assert "日本" in blob.content_disposition
    assert ask("GET", "/download/storage/v1/b/shop/o/k?alt=media", b"", {}) == (200, b"ab")
    assert blob.download_as_bytes() == b"ab"


def test_any_parameters_headers_and_bytes_are_taken_or_refused(ask):
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        method=st.sampled_from(["GET", "PUT", "POST", "PATCH"]),
        place=st.sampled_from(PLACES),
        query=st.dictionaries(st.sampled_from(PARAMETERS), st.sampled_from(VALUES), max_size=3),
        headers=st.fixed_dictionaries(
            {}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()}
        ),
        body=st.sampled_from(BODIES),
    )
    def judge(method, place, query, headers, body):
        path = place + "?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())
        status, answer = ask(
            method, path, body, {name: value.encode("latin-1") for name, value in headers.items()}
        )
        assert 200 <= status < 500 or status == 501, (method, path, answer)
        assert b"the GCP stack failed" not in answer, (method, path, answer)

    judge()
