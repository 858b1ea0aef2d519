"""The section `datasets:` of project.yaml: its keys, its structs, its checks."""
