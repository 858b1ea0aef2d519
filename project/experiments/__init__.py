"""The sections `layers:` and `experiments:` of project.yaml: keys, structs, checks."""
