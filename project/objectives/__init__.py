"""The section `objectives:` of project.yaml: its keys, its structs, its checks."""
