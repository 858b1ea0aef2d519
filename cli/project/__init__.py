"""Commands that begin a project and make what it describes."""
