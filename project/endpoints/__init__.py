"""The section `endpoints:` of project.yaml with the endpoints' rules: keys, structs, checks."""
