"""The sections `entities:` and `events:` of project.yaml: their keys, their structs, their checks."""
