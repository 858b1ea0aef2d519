"""Look at a project's files, at this machine and at an account, and change nothing."""
