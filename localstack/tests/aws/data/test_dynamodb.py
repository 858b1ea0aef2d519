"""DynamoDB: what the stack does beyond moto.

Tables take their time, items vanish when theirs is over, changes are whole.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys

KEY = {
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
}
RANGED = {
    "AttributeDefinitions": [
        *KEY["AttributeDefinitions"],
        {"AttributeName": "r", "AttributeType": "N"},
    ],
    "KeySchema": [*KEY["KeySchema"], {"AttributeName": "r", "KeyType": "RANGE"}],
}
TTL = {"Enabled": True, "AttributeName": "until"}


def make(client, stack, **key):
    client.create_table(TableName="t", BillingMode="PAY_PER_REQUEST", **key)
    stack.advance(6)


@pytest.fixture
def dynamodb(aws, example_stack):
    client = aws("dynamodb")
    make(client, example_stack, **KEY)
    client.update_time_to_live(TableName="t", TimeToLiveSpecification=TTL)
    return client


def put(client, key, until, **more):
    client.put_item(TableName="t", Item={"k": {"S": key}, "until": {"N": str(int(until))}, **more})


def code(call, **arguments):
    with pytest.raises(ClientError) as refusal:
        call(**arguments)
    return refusal.value.response["Error"]["Code"]


def test_an_item_vanishes_once_the_clock_has_passed_its_time_for_every_reader(
    dynamodb, example_stack
):
    now = example_stack.now().timestamp()
    for key, until in (
        ("soon", now + 60),
        ("late", now + 600),
        ("long ago", now - 6 * 365 * 86_400),
    ):
        put(dynamodb, key, until)
    example_stack.advance(120)
    assert "Item" not in dynamodb.get_item(TableName="t", Key={"k": {"S": "soon"}})
    assert {item["k"]["S"] for item in dynamodb.scan(TableName="t")["Items"]} == {
        "late",
        "long ago",
    }
    dynamodb.update_item(
        TableName="t",
        Key={"k": {"S": "soon"}},
        UpdateExpression="ADD n :1",
        ExpressionAttributeValues={":1": {"N": "1"}},
    )
    assert dynamodb.get_item(TableName="t", Key={"k": {"S": "soon"}})["Item"] == {
        "k": {"S": "soon"},
        "n": {"N": "1"},
    }


def test_neither_batches_nor_transactions_nor_statements_see_an_item_whose_time_is_over(
    dynamodb, example_stack
):
    """AWS may show it for days: who filters by the attribute, as its guide says, sees the same
    there.
    """
    now = example_stack.now().timestamp()
    keys_of = {key: {"k": {"S": key}} for key in ("soon", "late")}

    def put_again():
        for key, wait in (("soon", 60), ("late", 86_400)):
            put(dynamodb, key, example_stack.now().timestamp() + wait)
        example_stack.advance(120)

    put_again()
    batch = dynamodb.batch_get_item(RequestItems={"t": {"Keys": list(keys_of.values())}})[
        "Responses"
    ]["t"]
    assert [item["k"]["S"] for item in batch] == ["late"]
    put_again()
    gets = [{"Get": {"TableName": "t", "Key": key}} for key in keys_of.values()]
    assert [
        "Item" in answer for answer in dynamodb.transact_get_items(TransactItems=gets)["Responses"]
    ] == [False, True]
    put_again()
    check = {"TableName": "t", "ConditionExpression": "attribute_not_exists(k)"}
    assert (
        code(
            dynamodb.transact_write_items,
            TransactItems=[{"Put": {**check, "Item": keys_of["late"]}}],
        )
        == "TransactionCanceledException"
    )
    dynamodb.transact_write_items(
        TransactItems=[{"Put": {**check, "Item": {**keys_of["soon"], "until": {"N": str(now)}}}}]
    )
    dynamodb.batch_write_item(RequestItems={"t": [{"DeleteRequest": {"Key": keys_of["late"]}}]})
    assert dynamodb.execute_statement(Statement="SELECT * FROM t")["Items"] == []


def test_a_batch_of_a_table_that_nobody_made_is_refused(dynamodb):
    assert (
        code(dynamodb.batch_get_item, RequestItems={"none": {"Keys": [{"k": {"S": "a"}}]}})
        == "ResourceNotFoundException"
    )


def test_without_a_time_to_live_nothing_vanishes(dynamodb, example_stack):
    put(dynamodb, "a", example_stack.now().timestamp() + 60)
    dynamodb.update_time_to_live(TableName="t", TimeToLiveSpecification={**TTL, "Enabled": False})
    example_stack.advance(120)
    assert dynamodb.scan(TableName="t")["Count"] == 1


def test_a_time_to_live_is_set_once(dynamodb):
    assert (
        code(dynamodb.update_time_to_live, TableName="t", TimeToLiveSpecification=TTL)
        == "ValidationException"
    )
    assert code(dynamodb.describe_time_to_live, TableName="none") == "ResourceNotFoundException"


def test_no_addition_is_lost_among_threads(aws, dynamodb):
    def add(client):
        for _ in range(25):
            client.update_item(
                TableName="t",
                Key={"k": {"S": "a"}},
                UpdateExpression="ADD n :1",
                ExpressionAttributeValues={":1": {"N": "1"}},
            )

    def add_in_transactions(client):
        change = {"UpdateExpression": "ADD n :1", "ExpressionAttributeValues": {":1": {"N": "1"}}}
        for _ in range(25):
            client.transact_write_items(
                TransactItems=[{"Update": {"TableName": "t", "Key": {"k": {"S": "a"}}, **change}}]
            )

    with ThreadPoolExecutor(4) as pool:
        threads = [
            pool.submit(call, aws("dynamodb"))
            for call in (add, add, add_in_transactions, add_in_transactions)
        ]
    assert [thread.result() for thread in threads] == [None] * 4
    assert dynamodb.get_item(TableName="t", Key={"k": {"S": "a"}})["Item"]["n"] == {"N": "100"}


@pytest.mark.parametrize("there", [True, False])
def test_an_update_that_is_refused_changes_nothing(dynamodb, there):
    if there:
        put(dynamodb, "a", 1, small={"N": "1"})
    before = dynamodb.scan(TableName="t")["Items"]
    large = {":1": {"N": "1"}, ":large": {"S": "x" * 410_000}}
    change = {
        "UpdateExpression": "SET large = :large ADD small :1",
        "ExpressionAttributeValues": large,
    }
    assert (
        code(dynamodb.update_item, TableName="t", Key={"k": {"S": "a"}}, **change)
        == "ValidationException"
    )
    assert dynamodb.scan(TableName="t")["Items"] == before


def test_an_expression_beyond_4_kb_is_refused(dynamodb):
    change = {
        "UpdateExpression": "SET a = :1" + " " * 4_096,
        "ExpressionAttributeValues": {":1": {"N": "1"}},
    }
    assert (
        code(dynamodb.update_item, TableName="t", Key={"k": {"S": "a"}}, **change)
        == "ValidationException"
    )


def test_a_key_of_two_parts_and_a_key_that_lacks_one(aws, example_stack):
    client = aws("dynamodb")
    make(client, example_stack, **RANGED)
    key = {"k": {"S": "a"}, "r": {"N": "1"}}
    client.update_item(
        TableName="t",
        Key=key,
        UpdateExpression="ADD n :1",
        ExpressionAttributeValues={":1": {"N": "1"}},
    )
    assert client.get_item(TableName="t", Key=key)["Item"]["n"] == {"N": "1"}
    assert code(client.get_item, TableName="t", Key={"k": {"S": "a"}}) == "ValidationException"
    client.delete_item(TableName="t", Key=key)
    assert client.scan(TableName="t")["Count"] == 0


def test_a_table_that_is_being_made_takes_no_items_and_cannot_be_deleted(still_stack):
    stack = Stack(still_stack.url)
    stack.reset()
    client = boto3.client(
        "dynamodb", endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url)
    )
    made = client.create_table(TableName="t", BillingMode="PAY_PER_REQUEST", **KEY)[
        "TableDescription"
    ]
    assert (
        made["TableStatus"]
        == client.describe_table(TableName="t")["Table"]["TableStatus"]
        == "CREATING"
    )
    assert (
        code(client.get_item, TableName="t", Key={"k": {"S": "a"}}) == "ResourceNotFoundException"
    )
    assert (
        code(client.update_time_to_live, TableName="t", TimeToLiveSpecification=TTL)
        == "ResourceNotFoundException"
    )
    assert code(client.delete_table, TableName="t") == "ResourceInUseException"
    stack.advance(6)
    assert client.describe_table(TableName="t")["Table"]["TableStatus"] == "ACTIVE"
    put(client, "a", 1)
    client.delete_table(TableName="t")
    make(client, stack, **KEY)
    assert client.scan(TableName="t")["Count"] == 0


@pytest.fixture(scope="module")
def still_stack():
    return stacks.shared("manual")


def test_its_tags_are_found_by_the_tagging_api_and_the_call_is_in_the_log(aws, example_stack):
    aws("dynamodb").create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "isthmus:project", "Value": "shop"}],
        **KEY,
    )
    tagged = aws("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "isthmus:project"}])[
        "ResourceTagMappingList"
    ]
    assert [found["ResourceARN"].rpartition(":")[2] for found in tagged] == ["table/t"]
    assert ("dynamodb", "CreateTable", ("t",)) in [
        (call.service, call.operation, tuple(call.names)) for call in example_stack.calls()
    ]
    granted = {
        action
        for statement in example_stack.policy()["Statement"]
        for action in statement["Action"]
    }
    assert {"dynamodb:CreateTable", "dynamodb:TagResource"} <= granted
