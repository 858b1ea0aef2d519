"""The section `rollouts:` of project.yaml: its keys, its structs, its checks."""
