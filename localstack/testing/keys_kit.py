"""The keys with which boto3's clients sign what a stack takes, and requests that no SDK sends."""

import urllib.error
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from isthmus_stack.core.keys import keys_of
from isthmus_stack.run import variables


def keys(url, account=None):
    """Return the stack's key pair as arguments of boto3.client; `account` stands for the key id."""
    env = variables("aws", url)
    return {
        "aws_access_key_id": account or env["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
    }


def control(url):
    """Return the HTTP header that authorizes requests to the stack's control routes."""
    return {"Authorization": f"Bearer {keys_of(url).control}"}


def fetched(url, *, method="GET", headers=None, data=None):
    """Send an HTTP request, and return the status and body of the response."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method=method, headers=headers or {}, data=data)
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def signed(url, service, *, signed_at, method="POST", path="/", target="", body=b"", headers=None):
    """Return the headers of a request signed at a given time, which may be another than now."""
    pair = keys_of(url).pair
    request = AWSRequest(
        method, f"{url}{path}", data=body, headers={"X-Amz-Target": target, **(headers or {})}
    )
    signer = SigV4Auth(Credentials(pair.access_key, pair.secret_key), service, "us-east-1")
    request.context["timestamp"] = signed_at.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    signature = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    signer._inject_signature_to_request(request, signature)
    return dict(request.headers.items())
