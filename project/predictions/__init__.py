"""The section `predictions:` of project.yaml: its keys, its structs, its checks."""
