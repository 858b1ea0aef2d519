"""The feature views of a project: what their SQL returns, reads and may not do."""
