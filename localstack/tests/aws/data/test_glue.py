"""Glue by boto3: tables are searched, and an update that archives nothing leaves no old version."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process, table_input

TABLES = {
    "customer-link": {"classification": "parquet"},
    "xxlinkyy": {"owner": "shop"},
    "orders": {"classification": "csv"},
}


@pytest.fixture
def glue(aws):
    for name, parameters in TABLES.items():
        aws.glue.create_table(
            DatabaseName="db",
            TableInput=table_input(name, [("price", "double")], "s3://b/t/", parameters=parameters),
        )
    return aws.glue


def names(answer):
    return [table["Name"] for table in answer["TableList"]]


def word(key, value):
    return {"Filters": [{"Key": key, "Value": value}]}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"SearchText": "csv"}, ["orders"]),
        ({"SearchText": "link"}, ["customer-link"]),  # a part between punctuation, not any piece
        ({"SearchText": '"xxlinkyy"'}, ["xxlinkyy"]),
        ({"SearchText": '"link"'}, []),
        ({"SearchText": "price orders"}, ["orders"]),
        (word("Name", "link"), ["customer-link"]),
        (word("classification", "parquet"), ["customer-link"]),
        (word("DatabaseName", "db"), ["customer-link", "xxlinkyy", "orders"]),
        (
            {
                "Filters": [
                    {
                        "Key": "CreateTime",
                        "Value": "2020-01-01T00:00:00Z",
                        "Comparator": "LESS_THAN",
                    }
                ]
            },
            [],
        ),
        (
            {"SortCriteria": [{"FieldName": "Name", "Sort": "DESC"}]},
            ["xxlinkyy", "orders", "customer-link"],
        ),
        ({}, ["customer-link", "xxlinkyy", "orders"]),
    ],
)
def test_tables_are_found_by_their_words(glue, asked, found):
    assert names(glue.search_tables(**asked)) == found


def test_a_search_comes_in_pages(glue):
    first = glue.search_tables(MaxResults=2)
    rest = glue.search_tables(MaxResults=2, NextToken=first["NextToken"])
    assert (len(names(first)), names(rest), "NextToken" in rest) == (2, ["orders"], False)
    with pytest.raises(ClientError, match="Invalid NextToken"):
        glue.search_tables(NextToken="x")


@pytest.mark.parametrize(("skip", "versions"), [(True, ["2"]), (False, ["2", "1"])])
def test_an_update_leaves_the_version_from_before_unless_it_is_told_not_to(glue, skip, versions):
    glue.update_table(
        DatabaseName="db",
        TableInput=table_input("orders", [("price", "int")], "s3://b/t/"),
        SkipArchive=skip,
    )
    listed = glue.get_table_versions(DatabaseName="db", TableName="orders")["TableVersions"]
    assert sorted((version["VersionId"] for version in listed), reverse=True) == versions
    assert (
        glue.get_table(DatabaseName="db", Name="orders")["Table"]["StorageDescriptor"]["Columns"][
            0
        ]["Type"]
        == "int"
    )
