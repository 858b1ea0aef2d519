"""What the stack for AWS keeps in its home over a restart, and how it comes up again."""
