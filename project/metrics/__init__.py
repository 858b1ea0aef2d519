"""The section `metrics:` of project.yaml: its keys, its structs, its checks."""
