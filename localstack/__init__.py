"""Local stacks: servers that the genuine cloud SDKs talk to, and that execute. They import nothing else of Isthmus."""
