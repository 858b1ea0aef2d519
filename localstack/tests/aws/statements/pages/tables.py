"""DynamoDB, as far as counters and projects use it."""

from functools import cache

from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises


def api(name):
    return Page(name, f"amazondynamodb/latest/APIReference/API_{name}")


CONDITIONS = Page(
    "Condition expressions", "amazondynamodb/latest/developerguide/Expressions.ConditionExpressions"
)
TTL = Page("Using time to live in DynamoDB", "amazondynamodb/latest/developerguide/TTL")
LIMITS = Page("Constraints in Amazon DynamoDB", "amazondynamodb/latest/developerguide/Constraints")


def create(aws):
    """A new table of strings by k: its name."""
    name = aws.fresh("table")
    aws.dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@cache
def table(aws):
    """Once it is active."""
    name = create(aws)
    aws.pass_time(60)
    until(lambda: aws.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
    return name


def put(aws, key, **more):
    aws.dynamodb.put_item(TableName=table(aws), Item={"k": {"S": key}, **more})


def get(aws, key):
    return aws.dynamodb.get_item(
        TableName=table(aws), Key={"k": {"S": key}}, ConsistentRead=True
    ).get("Item")


def update(aws, key, expression, values, **more):
    return aws.dynamodb.update_item(
        TableName=table(aws),
        Key={"k": {"S": key}},
        UpdateExpression=expression,
        ExpressionAttributeValues=values,
        **more,
    )


@promises("PutItem replaces a whole item.", api("PutItem"))
def an_item_is_replaced_whole(aws):
    key = aws.fresh()
    put(aws, key, a={"S": "1"}, b={"S": "2"})
    put(aws, key, a={"S": "3"})
    assert get(aws, key) == {"k": {"S": key}, "a": {"S": "3"}}


@promises(
    "A write whose condition does not hold is ConditionalCheckFailedException and changes nothing.",
    CONDITIONS,
)
def a_condition_guards_a_write(aws):
    key = aws.fresh()
    put(aws, key, a={"S": "1"})
    absent = {"ConditionExpression": "attribute_not_exists(k)"}
    error = refusal(
        aws.dynamodb.put_item,
        TableName=table(aws),
        Item={"k": {"S": key}, "a": {"S": "2"}},
        **absent,
    )
    assert "ConditionalCheckFailedException" in error
    assert get(aws, key)["a"] == {"S": "1"}


@promises("ADD adds to a number, from 0 where there is none.", api("UpdateItem"))
def a_number_is_added_to(aws):
    key = aws.fresh()
    for _ in range(2):
        update(aws, key, "ADD n :one", {":one": {"N": "1"}})
    assert get(aws, key)["n"] == {"N": "2"}


@promises("ReturnValues UPDATED_NEW tells what an update made.", api("UpdateItem"))
def an_update_tells_its_values(aws):
    answer = update(aws, aws.fresh(), "SET a = :a", {":a": {"S": "x"}}, ReturnValues="UPDATED_NEW")
    assert answer["Attributes"] == {"a": {"S": "x"}}


@promises("A transaction writes all of its items or none.", api("TransactWriteItems"))
def a_transaction_is_all_or_nothing(aws):
    one, two = aws.fresh(), aws.fresh()
    put(aws, two)
    items = [
        {"Put": {"TableName": table(aws), "Item": {"k": {"S": one}}}},
        {
            "Put": {
                "TableName": table(aws),
                "Item": {"k": {"S": two}},
                "ConditionExpression": "attribute_not_exists(k)",
            }
        },
    ]
    assert "TransactionCanceledException" in refusal(
        aws.dynamodb.transact_write_items, TransactItems=items
    )
    assert get(aws, one) is None


@promises("BatchGetItem reads 100 items at most.", api("BatchGetItem"))
def a_batch_reads_a_hundred_items(aws):
    keys = [{"k": {"S": str(number)}} for number in range(101)]
    assert (
        aws.dynamodb.batch_get_item(RequestItems={table(aws): {"Keys": keys[:100]}})[
            "UnprocessedKeys"
        ]
        == {}
    )
    assert "ValidationException" in refusal(
        aws.dynamodb.batch_get_item, RequestItems={table(aws): {"Keys": keys}}
    )


@promises(
    "A table that is being made takes no items: ResourceNotFoundException.",
    api("CreateTable"),
    clock="manual",
)
def a_new_table_takes_no_items(aws):
    name = create(aws)
    assert aws.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "CREATING"
    assert "ResourceNotFoundException" in refusal(
        aws.dynamodb.put_item, TableName=name, Item={"k": {"S": "a"}}
    )


@promises("An item is deleted some time after its time to live, within days.", TTL, clock="manual")
def an_item_expires(aws):
    key = aws.fresh()
    enabled = {"Enabled": True, "AttributeName": "until"}
    aws.dynamodb.update_time_to_live(TableName=table(aws), TimeToLiveSpecification=enabled)
    put(aws, key, until={"N": str(int(aws.stack.now().timestamp()) + 60)})
    assert get(aws, key)
    aws.stack.advance(3600)
    assert get(aws, key) is None


@promises("An expression has 4 KB at most.", LIMITS)
def an_expression_has_4_kb(aws):
    short, long = (
        "SET " + ", ".join(f"{'a' * 30}{number} = :a" for number in range(count))
        for count in (90, 110)
    )
    update(aws, "long", short, {":a": {"S": "x"}})
    assert "ValidationException" in refusal(
        update, aws=aws, key="long", expression=long, values={":a": {"S": "x"}}
    )


@promises("An item has 400 KB at most.", LIMITS)
def an_item_has_400_kb(aws):
    assert "ValidationException" in refusal(put, aws=aws, key="large", a={"S": "x" * 410_000})


@promises("A number has 38 digits at most.", LIMITS, differs="moto keeps any number as text")
def a_number_has_38_digits(aws):
    assert "ValidationException" in refusal(put, aws=aws, key="number", n={"N": "1" * 39})
