"""Each statement of AWS's documents is asked of a stack, by boto3; what differs must differ, so
that the table stays true.
"""

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from isthmus_stack.testing import stacks
from isthmus_stack.tests.aws.statements.account import Account
from isthmus_stack.tests.aws.statements.table import statements

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account():
    """account("instant"): one account a clock, which all statements share."""
    accounts = {}

    def of(clock):
        if clock not in accounts:
            accounts[clock] = Account(stacks.shared(clock).url)
        return accounts[clock]

    return of


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.name)
def test_a_statement_of_awss_documents_holds_unless_the_table_says_that_it_differs(
    statement, account
):
    if statement.differs:
        with pytest.raises(
            (AssertionError, BotoCoreError, ClientError, LookupError, pytest.fail.Exception)
        ):
            statement.check(account(statement.clock))
        return
    statement.check(account(statement.clock))


def test_statements_are_told_apart_by_their_names():
    names = [statement.name for statement in statements()]
    assert len(set(names)) == len(names) > 20
