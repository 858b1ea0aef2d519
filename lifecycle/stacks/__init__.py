"""The verbs of the offline stacks."""
