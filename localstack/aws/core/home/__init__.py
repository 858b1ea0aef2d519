"""The state of the stack for AWS in its home: how it is kept over a restart, and resumed."""
