"""Who may ask the stack: who signs with its keys, or with keys that it issued; and who may steer
it.
"""

import os
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from isthmus_stack.core import keys as stack_keys
from isthmus_stack.core.http import peers
from isthmus_stack.run import start_aws
from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.testing.keys_kit import fetched, keys, signed

REGION = "us-east-1"


@pytest.fixture
def client(example_stack):
    """client("s3", secret="wrong"): a client whose keys are the stack's but for what is said."""

    def made(service, *, config=None, **other):
        wanted = keys(example_stack.url) | {f"aws_{name}": value for name, value in other.items()}
        config = Config(retries={"total_max_attempts": 1}).merge(config or Config())
        return boto3.client(
            service, endpoint_url=example_stack.url, region_name=REGION, config=config, **wanted
        )

    return made


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"][
        "HTTPStatusCode"
    ]


def session_of(credentials):
    return {
        "access_key_id": credentials["AccessKeyId"],
        "secret_access_key": credentials["SecretAccessKey"],
        "session_token": credentials["SessionToken"],
    }


CALLS = {
    "s3": (
        "list_buckets",
        ("SignatureDoesNotMatch", 403),
        ("InvalidAccessKeyId", 403),
        ("InvalidToken", 400),
        ("AccessDenied", 403),
    ),
    "sts": (
        "get_caller_identity",
        ("SignatureDoesNotMatch", 403),
        ("InvalidClientTokenId", 403),
        ("InvalidClientTokenId", 403),
        ("MissingAuthenticationToken", 403),
    ),
    "sagemaker": (
        "list_endpoints",
        ("InvalidSignatureException", 400),
        ("UnrecognizedClientException", 400),
        ("UnrecognizedClientException", 400),
        ("MissingAuthenticationTokenException", 400),
    ),
}


@pytest.mark.parametrize("service", CALLS)
def test_who_has_not_the_keys_is_refused_in_the_services_own_words(client, service):
    call, wrong, unknown, token, unsigned = CALLS[service]
    assert refusal(getattr(client(service, secret_access_key="guess"), call)) == wrong
    assert refusal(getattr(client(service, access_key_id="AKIAAAAAAAAAAAAAAAAA"), call)) == unknown
    assert refusal(getattr(client(service, session_token="guess"), call)) == token
    assert (
        refusal(getattr(client(service, config=Config(signature_version=UNSIGNED)), call))
        == unsigned
    )
    getattr(client(service), call)()


def test_a_refused_call_changes_nothing_and_is_in_the_log(client, example_stack):
    assert (
        refusal(client("s3", secret_access_key="guess").create_bucket, Bucket="bucket")[0]
        == "SignatureDoesNotMatch"
    )
    assert client("s3").list_buckets()["Buckets"] == []
    (first, _) = example_stack.calls()
    assert (first.operation, first.error, first.status) == (
        "CreateBucket",
        "SignatureDoesNotMatch",
        403,
    )
    assert "CreateBucket" not in str(example_stack.policy())


def test_a_data_plane_refuses_as_rest_services_do(client):
    runtime = client("sagemaker-runtime", secret_access_key="guess")
    assert refusal(runtime.invoke_endpoint, EndpointName="e", Body=b"1") == (
        "InvalidSignatureException",
        403,
    )


def test_keys_of_iam_are_taken_until_they_are_deleted_or_inactive(client):
    iam = client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    theirs = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    assert client("sts", **theirs).get_caller_identity()["Arn"].endswith("user/u")
    assert (
        refusal(client("sts", **theirs | {"secret_access_key": "guess"}).get_caller_identity)[0]
        == "SignatureDoesNotMatch"
    )
    iam.update_access_key(UserName="u", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(client("sts", **theirs).get_caller_identity)[0] == "InvalidClientTokenId"
    iam.update_access_key(UserName="u", AccessKeyId=key["AccessKeyId"], Status="Active")
    client("sts", **theirs).get_caller_identity()
    iam.delete_access_key(UserName="u", AccessKeyId=key["AccessKeyId"])
    assert refusal(client("sts", **theirs).get_caller_identity)[0] == "InvalidClientTokenId"


def test_an_assumed_role_and_a_session_have_keys_of_their_own_with_their_token(client):
    sts = client("sts")
    assumed = session_of(
        sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/reader", RoleSessionName="me")[
            "Credentials"
        ]
    )
    session = session_of(sts.get_session_token()["Credentials"])
    assert client("sts", **assumed).get_caller_identity()["Arn"].endswith("assumed-role/reader/me")
    for issued in (assumed, session):
        assert client("s3", **issued).list_buckets()["Buckets"] == []
        assert (
            refusal(client("s3", **issued | {"session_token": "guess"}).list_buckets)[0]
            == "InvalidToken"
        )
        assert (
            refusal(client("s3", **issued | {"secret_access_key": "guess"}).list_buckets)[0]
            == "SignatureDoesNotMatch"
        )
        without = {name: value for name, value in issued.items() if name != "session_token"}
        assert refusal(client("s3", **without).list_buckets)[0] == "InvalidToken"
    assert session_of(sts.get_session_token()["Credentials"]) != session


def test_a_session_is_whose_it_is_and_a_federated_user_has_a_name_of_its_own(client):
    iam = client("iam")
    user = iam.create_user(UserName="u")["User"]
    key = iam.create_access_key(UserName="u")["AccessKey"]
    theirs = client(
        "sts", access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
    )
    session = client("sts", **session_of(theirs.get_session_token()["Credentials"]))
    assert session.get_caller_identity()["Arn"] == user["Arn"]
    issued = theirs.get_federation_token(Name="bob")
    federated = client("sts", **session_of(issued["Credentials"])).get_caller_identity()
    assert (
        federated["Arn"]
        == issued["FederatedUser"]["Arn"]
        == "arn:aws:sts::123456789012:federated-user/bob"
    )
    assert federated["UserId"] == issued["FederatedUser"]["FederatedUserId"] == "123456789012:bob"


def test_who_comes_with_another_providers_token_is_refused_with_the_reason(client):
    sts = client("sts", config=Config(signature_version=UNSIGNED))
    role = {"RoleArn": "arn:aws:iam::123456789012:role/reader", "RoleSessionName": "me"}
    assert refusal(sts.assume_role_with_web_identity, WebIdentityToken="t" * 20, **role) == (
        "InvalidIdentityToken",
        400,
    )


@pytest.mark.parametrize(
    "signature", ["s3v4", None]
)  # None: boto3 makes URLs of the older kind then
def test_a_presigned_url_is_for_its_object_and_verb_and_its_time(client, signature):
    s3 = client("s3", config=Config(signature_version=signature))
    s3.create_bucket(Bucket="bucket")
    for key in ("a b+ü/%2F", "other"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"content")
    url = s3.generate_presigned_url(
        "get_object",
        Params={"Bucket": "bucket", "Key": "a b+ü/%2F", "ResponseContentType": "text/x"},
    )
    assert fetched(url) == (200, b"content")
    assert fetched(url, method="DELETE")[0] == 403
    assert fetched(url.replace("/bucket/a%20b%2B%C3%BC/%252F", "/bucket/other"))[0] == 403
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "up"})
    assert fetched(upload, method="PUT", data=b"up", headers={"Content-Type": ""})[0] == 200
    assert s3.get_object(Bucket="bucket", Key="up")["Body"].read() == b"up"
    over = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "other"}, ExpiresIn=-10
    )
    assert fetched(over)[0] in (400, 403)


def test_a_signed_url_makes_no_other_request_with_headers_that_were_not_signed(client):
    s3 = client("s3", config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="own", Body=b"own")
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "up"})
    for name, value in (("x-amz-copy-source", "/bucket/own"), ("x-amz-acl", "public-read")):
        status, body = fetched(
            upload, method="PUT", data=b"", headers={"Content-Type": "", name: value}
        )
        assert (status, b"AccessDenied" in body, name.encode() in body) == (403, True, True)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["own"]
    named = s3.generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": "up", "Metadata": {"a_b": "c"}}
    )
    assert (
        fetched(named, method="PUT", data=b"", headers={"Content-Type": "", "x-amz-meta-a_b": "c"})[
            0
        ]
        == 200
    )


def test_a_url_of_the_older_kind_is_a_call_of_s3_like_any_other(client, example_stack):
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket")
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "up"})
    listing = s3.generate_presigned_url("list_objects", Params={"Bucket": "bucket", "Prefix": "u"})
    assert "AWSAccessKeyId=" in listing
    assert fetched(upload, method="PUT", data=b"up", headers={"Content-Type": ""})[0] == 200
    status, body = fetched(listing)
    assert (status, body.count(b"<Key>")) == (200, 1)
    assert [(call.service, call.operation, call.names) for call in example_stack.calls()[-2:]] == [
        ("s3", "PutObject", ("bucket", "up")),
        ("s3", "ListObjects", ("bucket",)),
    ]
    example_stack.fault(kind="error", service="s3", operation="ListObjects", status=503)
    assert fetched(listing)[0] == 503


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=X"]
)
def test_an_object_whose_type_is_a_forms_keeps_its_content(client, kind):
    s3 = client("s3", config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="put", Body=b"a=1&b=2", ContentType=kind)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "by-url"})
    assert fetched(url, method="PUT", data=b"a=1&b=2", headers={"Content-Type": kind})[0] == 200
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    part = s3.generate_presigned_url(
        "upload_part",
        Params={"Bucket": "bucket", "Key": "parts", "UploadId": upload, "PartNumber": 1},
    )
    assert fetched(part, method="PUT", data=b"a=1&b=2", headers={"Content-Type": kind})[0] == 200
    parts = [
        {
            "PartNumber": 1,
            "ETag": s3.list_parts(Bucket="bucket", Key="parts", UploadId=upload)["Parts"][0][
                "ETag"
            ],
        }
    ]
    s3.complete_multipart_upload(
        Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    for key in ("put", "by-url", "parts"):
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == b"a=1&b=2"
    assert s3.head_object(Bucket="bucket", Key="put")["ContentType"] == kind


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_request_that_was_signed_a_quarter_of_an_hour_away_is_refused(example_stack, minutes):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    asked = signed(
        example_stack.url,
        "sagemaker",
        signed_at=at,
        target="SageMaker.ListEndpoints",
        body=b"{}",
        headers=headers,
    )
    status, body = fetched(f"{example_stack.url}/", method="POST", data=b"{}", headers=asked)
    assert (status, b"InvalidSignatureException" in body) == (400, True)
    assert (b"Signature expired" if minutes < 0 else b"Signature not yet current") in body


def test_a_signed_request_may_have_any_host_and_no_web_page_may_ask(example_stack):
    target = {"target": "SageMaker.ListEndpoints", "body": b"{}"}
    headers = {"Content-Type": "application/x-amz-json-1.1", "Host": "aws-stack:4599"}
    asked = signed(
        example_stack.url, "sagemaker", signed_at=datetime.now(UTC), headers=headers, **target
    )
    root = f"{example_stack.url}/"
    assert fetched(root, method="POST", data=b"{}", headers=asked)[0] == 200
    assert fetched(root, method="POST", data=b"{}", headers=asked | {"Host": "other"})[0] == 400
    assert (
        fetched(
            root, method="POST", data=b"{}", headers=asked | {"Origin": "http://aws-stack:4599"}
        )[0]
        == 403
    )
    assert (
        fetched(root, method="POST", data=b"{}", headers=asked | {"Sec-Fetch-Site": "same-site"})[0]
        == 403
    )
    assert (
        fetched(root, headers={"Host": "rebound.example", "Sec-Fetch-Site": "same-origin"})[0]
        == 403
    )


def test_another_body_than_the_signed_one_is_refused(example_stack):
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    asked = signed(
        example_stack.url,
        "sagemaker",
        signed_at=datetime.now(UTC),
        target="SageMaker.ListEndpoints",
        body=b"{}",
        headers=headers,
    )
    assert fetched(f"{example_stack.url}/", method="POST", data=b"{}", headers=asked)[0] == 200
    assert (
        fetched(f"{example_stack.url}/", method="POST", data=b'{"MaxResults":1}', headers=asked)[0]
        == 400
    )
    other = asked | {"X-Amz-Target": "SageMaker.ListModels"}
    assert fetched(f"{example_stack.url}/", method="POST", data=b"{}", headers=other)[0] == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b",
        (
            "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=1"
        ),
        (
            "AWS4-ECDSA-P256-SHA256 Credential=a/20200101/s3/aws4_request, SignedHeaders=host, "
            "Signature=1"
        ),
        "AWS key:signature",
        "Bearer token",
        "é",
    ],
)
def test_a_signature_that_is_none_is_refused_by_what_it_lacks(example_stack, authorization):
    headers = {"Authorization": authorization.encode().decode("latin-1")}
    for kind, code in (
        ("application/x-amz-json-1.1", b"IncompleteSignatureException"),
        ("", b"AuthorizationHeaderMalformed"),
    ):
        status, body = fetched(
            f"{example_stack.url}/",
            method="POST",
            data=b"",
            headers={**headers, "Content-Type": kind},
        )
        assert (status, code in body) == (400, True)


def test_an_object_that_everybody_may_read_is_read_without_a_key(client, example_stack):
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="public", Body=b"p", ACL="public-read")
    s3.put_object(Bucket="bucket", Key="own", Body=b"o")
    url = f"{example_stack.url}/bucket"
    assert fetched(f"{url}/public") == (200, b"p")
    for refused in (
        f"{url}/own",
        f"{url}/nothing",
        url,
        f"{url}/",
        f"{example_stack.url}/nobody/k",
        f"{url}/public?acl",
    ):
        assert fetched(refused)[0] == 403
    assert fetched(f"{url}/public", method="PUT", data=b"x")[0] == 403
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket="bucket", Key="public")
    assert fetched(f"{url}/public")[0] == 403


def test_who_steers_the_stack_needs_its_secret_for_all_but_its_health(example_stack):
    secret = stack_keys.keys_of(example_stack.url).control
    assert fetched(f"{example_stack.url}/_stack/health")[0] == 200
    assert secret.encode() not in fetched(f"{example_stack.url}/_stack/health")[1]
    for route in (
        "POST _stack/reset",
        "GET _stack/calls",
        "GET _stack/policy",
        "POST moto-api/reset",
        "GET moto-api/data.json",
    ):
        method, path = route.split()
        assert fetched(f"{example_stack.url}/{path}", method=method)[0] == 403
        assert (
            fetched(
                f"{example_stack.url}/{path}",
                method=method,
                headers={"Authorization": "Bearer guess"},
            )[0]
            == 403
        )
        assert (
            fetched(
                f"{example_stack.url}/{path}",
                method=method,
                headers={"Authorization": f"Bearer {secret}"},
            )[0]
            == 200
        )


def test_the_keys_are_in_a_file_for_their_user_alone_and_in_no_log(example_stack, example_process):
    path = Path(example_stack.health()["keys"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    mine = stack_keys.keys_of(example_stack.url)
    log = example_process.log.read_text()
    assert mine.control not in log
    assert mine.pair.secret_key not in log


def test_keys_are_those_of_the_stack_that_is_asked_and_of_nobody_elses_file(
    example_stack, tmp_path, monkeypatch
):
    here = stack_keys.keys_of(example_stack.url)
    assert stack_keys.keys_of(example_stack.url.replace("127.0.0.1", "localhost")) == here
    other = stack_keys.write(tmp_path, stack_keys.make("http://127.0.0.1:1", None))
    monkeypatch.setattr(
        stack_keys, "_read_own_file", lambda _: other.read_bytes()
    )  # what a server names that wants another stack's secret
    assert stack_keys.keys_of(example_stack.url) is None
    monkeypatch.undo()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert stack_keys.keys_of(example_stack.url) is None


@pytest.fixture
def connection():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        yield client.getsockname(), client.getpeername()[1]


def test_the_user_at_the_other_end_of_a_connection_is_known(connection, monkeypatch):
    peer, port = connection
    assert not peers.is_other_user(peer, port)
    monkeypatch.setattr(peers, "_owner", lambda *_: 4711)
    assert peers.is_other_user(peer, port)
    assert not peers.is_other_user(None, port)


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="Linux says it")
def test_the_owner_of_a_connection_is_the_same_asked_of_the_kernel_and_found_in_its_list(
    connection,
):
    peer, port = connection
    assert peers._ask_kernel(peer, port) == peers._look_up(peer)
    assert peers._owner(peer, port) == os.getuid()
    with pytest.raises(ValueError, match="no such socket"):
        peers._ask_kernel(peer, 1)
    assert peers._owner(peer, 1) == os.getuid(), "the list is read then"


def test_a_connection_that_its_client_has_closed_is_nobodys():
    """The kernel calls it root's once the end has been acknowledged."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, peer = server.accept()
        with accepted:
            client.sendall(b"a request")
            client.close()
            until(lambda: not peers.is_own(peer, server.getsockname()[1]))
            assert not peers.is_own(peer, 1), "by the list, too"


@pytest.mark.slow
def test_an_open_stack_takes_any_key_and_a_home_keeps_its_pair(tmp_path):
    with start_aws(home=tmp_path / "home") as first:
        pair = stack_keys.keys_of(first.url).pair
        assert stat.S_IMODE((tmp_path / "home" / "keys.json").stat().st_mode) == 0o600
    with start_aws(home=tmp_path / "home", any_key=True) as second:
        assert stack_keys.keys_of(second.url).pair == pair
        made = boto3.client(
            "s3",
            endpoint_url=second.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        assert made.list_buckets()["Buckets"] == []
        assert fetched(f"{second.url}/moto-api/reset", method="POST")[0] == 200
        assert fetched(f"{second.url}/_stack/reset", method="POST")[0] == 403
        assert "--open is on" in second.log.read_text()
