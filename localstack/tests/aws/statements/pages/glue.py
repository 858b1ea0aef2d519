"""The Glue data catalog."""

from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises


def api(name):
    return Page(name, f"glue/latest/webapi/API_{name}")


def table(name, **more):
    columns = [{"Name": "a", "Type": "int"}]
    storage = {"Columns": columns, "Location": f"s3://bucket/glue/{name}/"}
    return {
        "Name": name,
        "StorageDescriptor": storage,
        "PartitionKeys": [{"Name": "p", "Type": "string"}],
        **more,
    }


def created(aws):
    """A table of one partition key in a database of its own."""
    database = aws.fresh("g")
    aws.glue.create_database(DatabaseInput={"Name": database})
    aws.glue.create_table(DatabaseName=database, TableInput=table("t"))
    return database


def partition(*values):
    return {
        "Values": list(values),
        "StorageDescriptor": {
            "Columns": [{"Name": "a", "Type": "int"}],
            "Location": "s3://bucket/p/",
        },
    }


@promises("A database or table that exists already is AlreadyExistsException.", api("CreateTable"))
def names_are_unique(aws):
    database = created(aws)
    assert "AlreadyExistsException" in refusal(
        aws.glue.create_database, DatabaseInput={"Name": database}
    )
    assert "AlreadyExistsException" in refusal(
        aws.glue.create_table, DatabaseName=database, TableInput=table("t")
    )


@promises("What is not there is EntityNotFoundException.", api("GetTable"))
def what_is_missing_is_not_found(aws):
    assert "EntityNotFoundException" in refusal(
        aws.glue.get_table, DatabaseName=created(aws), Name="nobodys"
    )
    assert "EntityNotFoundException" in refusal(aws.glue.get_database, Name="nobodys")


@promises(
    "A name is folded to lower case when it is stored.",
    Page("DatabaseInput", "glue/latest/webapi/API_DatabaseInput"),
    differs="moto keeps it as it came",
)
def names_are_in_lower_case(aws):
    aws.glue.create_database(DatabaseInput={"Name": "Mixed"})
    assert aws.glue.get_database(Name="mixed")["Database"]["Name"] == "mixed"


@promises("GetTables takes a regular expression for the name.", api("GetTables"))
def tables_are_found_by_expression(aws):
    database = created(aws)
    aws.glue.create_table(DatabaseName=database, TableInput=table("other"))
    listed = aws.glue.get_tables(DatabaseName=database, Expression="o.*")["TableList"]
    assert [item["Name"] for item in listed] == ["other"]


@promises("UpdateTable keeps the old version of a table.", api("UpdateTable"))
def versions_are_kept(aws):
    database = created(aws)
    aws.glue.update_table(DatabaseName=database, TableInput=table("t", Description="second"))
    versions = aws.glue.get_table_versions(DatabaseName=database, TableName="t")["TableVersions"]
    assert sorted(version["Table"].get("Description", "") for version in versions) == ["", "second"]


@promises(
    "A partition has a value for each partition key, and is there once.", api("CreatePartition")
)
def a_partition_is_there_once(aws):
    database = created(aws)
    aws.glue.create_partition(DatabaseName=database, TableName="t", PartitionInput=partition("x"))
    assert "AlreadyExistsException" in refusal(
        aws.glue.create_partition,
        DatabaseName=database,
        TableName="t",
        PartitionInput=partition("x"),
    )


@promises(
    "BatchCreatePartition makes the good partitions and names the bad ones.",
    api("BatchCreatePartition"),
)
def a_batch_names_its_errors(aws):
    database = created(aws)
    aws.glue.create_partition(DatabaseName=database, TableName="t", PartitionInput=partition("x"))
    errors = aws.glue.batch_create_partition(
        DatabaseName=database, TableName="t", PartitionInputList=[partition("x"), partition("y")]
    )["Errors"]
    assert [(error["PartitionValues"], error["ErrorDetail"]["ErrorCode"]) for error in errors] == [
        (["x"], "AlreadyExistsException")
    ]
    assert len(aws.glue.get_partitions(DatabaseName=database, TableName="t")["Partitions"]) == 2


@promises(
    "GetPartitions filters by an expression of the partition's columns.", api("GetPartitions")
)
def partitions_are_filtered(aws):
    database = created(aws)
    for value in ("x", "y", "z"):
        aws.glue.create_partition(
            DatabaseName=database, TableName="t", PartitionInput=partition(value)
        )
    listed = aws.glue.get_partitions(
        DatabaseName=database, TableName="t", Expression="p > 'x' AND p <> 'z'"
    )["Partitions"]
    assert [item["Values"] for item in listed] == [["y"]]


@promises("Deleting a database deletes its tables.", api("DeleteDatabase"))
def tables_go_with_their_database(aws):
    database = created(aws)
    aws.glue.delete_database(Name=database)
    assert "EntityNotFoundException" in refusal(aws.glue.get_table, DatabaseName=database, Name="t")


@promises(
    "StartJobRun runs a job's script.",
    Page("StartJobRun", "glue/latest/webapi/API_StartJobRun"),
    differs="refused by name: nothing here runs Glue jobs",
)
def a_job_runs(aws):
    command = {"Name": "glueetl", "ScriptLocation": "s3://bucket/script.py"}
    aws.glue.create_job(Name="job", Role="arn:aws:iam::123456789012:role/glue", Command=command)
    assert aws.glue.start_job_run(JobName="job")["JobRunId"]
