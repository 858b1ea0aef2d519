"""What AWS's pages promise, as a table of statements that are checked by boto3: test_statements.py
runs it, docs/coverage.md shows it.

A statement that does not hold here says why (`differs`), and its check must fail: one that begins
to hold asks for its line to go.
The statements are in `pages`, a module a subject; they were written from the pages and not from
the stack.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Literal

import msgspec

SUBJECTS = {
    "endpoints": "Endpoints",
    "deployments": "Deployments of endpoints",
    "metrics": "Metrics and alarms",
    "training": "Training jobs",
    "processing": "Processing jobs",
    "transform": "Batch transform",
    "tuning": "Hyperparameter tuning",
    "pipelines": "Pipelines",
    "registry": "Model registry",
    "features": "Feature Store",
    "athena": "Athena",
    "glue": "Glue's catalog",
    "streams": "Kinesis and Firehose",
    "storage": "S3",
    "tables": "DynamoDB",
    "search": "Search and experiments",
    "identity": "Identities, rights, tags",
    "others": "Other services, and models of several containers",
}
Clock = Literal["instant", "manual"]


class Page(msgspec.Struct, frozen=True):
    title: str
    path: str  # below docs.aws.amazon.com, without .html

    @property
    def address(self):
        return f"https://docs.aws.amazon.com/{self.path}.html"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    text: str  # the promise, in our words
    page: Page
    subject: str  # a key of SUBJECTS
    check: Callable  # asks an Account; raises when the promise is not kept
    clock: Clock
    differs: str  # why it is not kept here; "" where it is

    @property
    def name(self):
        return f"{self.subject}.{self.check.__name__}"


_statements: list[Statement] = []


def promises(text, page, *, clock="instant", differs=""):
    """Decorates the check of a statement."""

    def state(check):
        subject = check.__module__.rpartition(".")[2]
        _statements.append(
            Statement(
                text=text, page=page, subject=subject, check=check, clock=clock, differs=differs
            )
        )
        return check

    return state


def statements():
    for subject in SUBJECTS:
        import_module(f"isthmus_stack.tests.aws.statements.pages.{subject}")
    return tuple(sorted(_statements, key=lambda statement: list(SUBJECTS).index(statement.subject)))


def guide(title, name):
    """A page of SageMaker's developer guide."""
    return Page(title, f"sagemaker/latest/dg/{name}")


def reference(name):
    """A page of SageMaker's API reference; of its runtimes with `runtime_` or `feature_store_`
    before the operation.
    """
    return Page(name.rpartition("_")[2], f"sagemaker/latest/APIReference/API_{name}")


def chapter():
    """The part of docs/coverage.md."""
    table = statements()
    holding = sum(not statement.differs for statement in table)
    pages = len({statement.page for statement in table})
    lines = [
        "",
        "## Statements of AWS's documents",
        "",
        (
            f"{len(table)} statements from {pages} pages of docs.aws.amazon.com, in our words. "
            "tests/statements.py asks each"
        ),
        (
            f"of a stack, by boto3: {holding} hold, {len(table) - holding} do not, and the "
            "reason is beside them."
        ),
    ]
    for subject, heading in SUBJECTS.items():
        lines += [
            "",
            f"### {heading}",
            "",
            "| AWS's documents say | page | here |",
            "|---|---|---|",
        ]
        lines += [_row(statement) for statement in table if statement.subject == subject]
    return "\n".join(lines) + "\n"


def _row(statement):
    return (
        f"| {statement.text} | [{statement.page.title}]({statement.page.address}) | "
        f"{statement.differs or 'holds'} |"
    )
