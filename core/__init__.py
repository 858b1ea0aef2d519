"""What every room stands on: durable files, stored documents, signals, logs, the stacks of a target."""
