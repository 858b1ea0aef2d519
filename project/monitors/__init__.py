"""The section `monitors:` of project.yaml: its keys, its structs, its checks."""
