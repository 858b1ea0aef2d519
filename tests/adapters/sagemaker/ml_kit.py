"""What the tests of the machine learning ports ask of the stack."""


def asked(stack, operation):
    """How often the stack was asked for an operation, by any SDK's attempts."""
    return sum(call.operation == operation for call in stack.calls())
