"""The genuine clients of BigQuery, with nobody's credentials."""

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "shop-project"


@pytest.fixture
def client(gcp):
    made = bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcp.url},
    )
    made.create_dataset("shop")
    yield made
    made.close()


@pytest.fixture
def storage_read(gcp):
    from google.cloud.bigquery_storage import BigQueryReadClient

    return BigQueryReadClient(
        transport=BigQueryReadClient.get_transport_class("grpc")(channel=gcp.channel())
    )


@pytest.fixture
def rows(client):
    """`rows(sql)`: what a query gives, as tuples."""
    return lambda sql, **options: [tuple(row) for row in client.query_and_wait(sql, **options)]
