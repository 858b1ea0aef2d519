"""What no SDK sends gets an error in its API's shape, and never a plain 500."""

import json
import socket
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_stack.testing.keys_kit import fetched, signed

JSON = {"Content-Type": "application/x-amz-json-1.1"}
DEEP = b'{"a":' * 20_000


def sent(url, service, *, method="POST", path="/", **more):
    body = more.get("body", b"")
    headers = signed(url, service, signed_at=datetime.now(UTC), method=method, path=path, **more)
    return fetched(f"{url}{path}", method=method, data=body, headers=headers)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe{}", DEEP, b'{"a":1]', b"<a/>"])
@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("sagemaker", "SageMaker.ListEndpoints"),  # ours
        ("glue", "AWSGlue.CreateTable"),  # moto's
        ("kinesis", "Kinesis_20131202.PutRecords"),
    ],
)
def test_what_is_no_json_is_a_serialization_exception(example_stack, service, target, body):
    status, answer = sent(example_stack.url, service, target=target, body=body, headers=JSON)
    assert status == 400
    assert b"SerializationException" in answer


def test_a_rest_service_says_the_same(example_stack):
    status, answer = sent(
        example_stack.url,
        "sagemaker",
        path="/BatchGetRecord",
        body=DEEP,
        headers={"Content-Type": "application/json"},
    )
    assert (status, b"SerializationException" in answer) == (400, True)


def test_what_is_no_xml_is_malformed_xml(example_stack):
    assert sent(example_stack.url, "s3", method="PUT", path="/bucket")[0] == 200
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    status, answer = sent(
        example_stack.url, "s3", method="PUT", path="/bucket?tagging", body=b"<a>", headers=headers
    )
    assert (status, b"MalformedXML" in answer) == (400, True), answer


def test_what_moto_fails_over_is_told_by_the_model(example_stack):
    status, answer = sent(
        example_stack.url, "glue", target="AWSGlue.CreateTable", body=b"{}", headers=JSON
    )
    assert (status, b"ValidationException" in answer, b"DatabaseName" in answer) == (
        400,
        True,
        True,
    )


@given(st.binary(max_size=200))
@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_noise_is_answered_or_cut_and_never_a_plain_500(example_stack, noise):
    port = int(example_stack.url.rpartition(":")[2])
    for start in (b"", b"GET /", b"POST / HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: "):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(start + noise + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            answer = _all(connection)
        assert b" 500 " not in answer.partition(b"\r\n")[0]


def test_a_long_url_and_large_headers_are_refused_and_others_are_answered(example_stack):
    assert fetched(f"{example_stack.url}/{'a' * 100_000}")[0] == 403
    assert fetched(f"{example_stack.url}/", headers={"X-Large": "a" * 1_000_000})[0] == 431
    assert fetched(f"{example_stack.url}/_stack/health")[0] == 200


HUGE = b"Content-Length: %d\r\n" % (6 << 30)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
OF_JSON = b"Content-Type: application/x-amz-json-1.1\r\n"
OF_GLUE = (
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/glue/aws4_request, "
    b"SignedHeaders=host, Signature=0\r\n"
)
OF_FORMS = OF_GLUE.replace(b"glue", b"sts") + b"Content-Type: application/x-www-form-urlencoded\r\n"
REFUSED = {
    "json, too large": (OF_JSON + OF_GLUE + HUGE, 413, "EntityTooLarge"),
    "json, chunks without a size": (OF_JSON + OF_GLUE + CHUNKED, 400, "BadRequest"),
    "form, too large": (OF_FORMS + HUGE, 413, "EntityTooLarge"),
    "s3, too large": (OF_GLUE.replace(b"glue", b"s3") + HUGE, 413, "EntityTooLarge"),
    "a header without a colon": (b"nonsense\r\n", 400, "BadRequest"),
    "headers too large": (
        b"X-Large: " + b"a" * 300_000 + b"\r\n",
        431,
        "RequestHeaderSectionTooLarge",
    ),
    "another encoding": (b"Transfer-Encoding: gzip\r\n", 501, "NotImplemented"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_before_it_is_a_request_has_the_shape_of_its_api(example_stack, case):
    headers, status, code = REFUSED[case]
    with socket.create_connection(
        ("127.0.0.1", int(example_stack.url.rpartition(":")[2])), timeout=60
    ) as connection:
        data = b"POST / HTTP/1.1\r\n" + headers + b"\r\nzz\r\n"
        connection.sendall(
            data[:262_144]
        )  # what comes after these bytes is not read, and would reset the connection
        head, _, body = _all(connection).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    if case.startswith("json"):
        assert json.loads(body)["__type"] == code
    else:
        assert body.startswith(
            b"<ErrorResponse><Error>" if case.startswith("form") else b"<Error>"
        ), body
        assert f"<Code>{code}</Code>".encode() in body


def _all(connection):
    answer = b""
    while chunk := connection.recv(1 << 16):
        answer += chunk
    return answer


_METRIC_DATA = {
    "MetricDataQueries": [
        {
            "Id": "a",
            "MetricStat": {
                "Metric": {"Namespace": "mine", "MetricName": "m"},
                "Period": 60,
                "Stat": "Sum",
            },
        },
    ],
    "StartTime": 0,
    "EndTime": 60,
}


@pytest.mark.parametrize("token", ["abc", "-1", "1" * 5_000, "\N{ARABIC-INDIC DIGIT ONE}"])
@pytest.mark.parametrize(
    ("service", "operation", "more", "code"),
    [
        ("athena", "list_databases", {"CatalogName": "AwsDataCatalog"}, "InvalidRequestException"),
        ("athena", "list_data_catalogs", {}, "InvalidRequestException"),
        ("athena", "list_query_executions", {}, "InvalidRequestException"),
        ("athena", "list_prepared_statements", {"WorkGroup": "primary"}, "InvalidRequestException"),
        ("sagemaker", "list_feature_groups", {}, "ValidationException"),
        ("sagemaker", "list_training_jobs", {}, "ValidationException"),
        ("sagemaker", "list_endpoints", {}, "ValidationException"),
        ("cloudwatch", "get_metric_data", _METRIC_DATA, "InvalidNextToken"),
        ("resourcegroupstaggingapi", "get_resources", {}, "PaginationTokenExpiredException"),
        ("resourcegroupstaggingapi", "get_tag_keys", {}, "PaginationTokenExpiredException"),
        (
            "resourcegroupstaggingapi",
            "get_tag_values",
            {"Key": "team"},
            "PaginationTokenExpiredException",
        ),
    ],
)
def test_a_token_that_no_answer_had_is_refused(aws, token, service, operation, more, code):
    client = aws(service)
    name = "PaginationToken" if service == "resourcegroupstaggingapi" else "NextToken"
    with pytest.raises(ClientError) as refusal:
        getattr(client, operation)(**{name: token}, **more)
    assert refusal.value.response["Error"]["Code"] == code
