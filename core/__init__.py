"""The base of every room: durable files, stored documents, signals, logs, a target's stacks."""
