"""The keys with which boto3's clients sign what a stack takes."""

from isthmus.localstack.keys import of
from isthmus.localstack.run import variables


def keys(url, account=None):
    """For boto3.client(..., **keys(url)); with `account`, twelve digits, of that one."""
    env = variables("aws", url)
    return {"aws_access_key_id": account or env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}


def control(url):
    """The header that steers the stack."""
    return {"Authorization": f"Bearer {of(url).control}"}
