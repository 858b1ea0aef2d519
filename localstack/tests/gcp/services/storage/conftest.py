"""The genuine client, led to the stack as STORAGE_EMULATOR_HOST leads it."""

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from ...conftest import PROJECT


@pytest.fixture
def client(gcp):
    with storage.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    ) as client:
        yield client


@pytest.fixture
def bucket(client):
    return client.create_bucket("shop")


@pytest.fixture
def versioned(client):
    bucket = client.bucket("kept")
    bucket.versioning_enabled = True
    return client.create_bucket(bucket)
