"""The sections `layers:` and `experiments:` of project.yaml: their keys, their structs, their checks."""
