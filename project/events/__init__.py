"""The sections `entities:` and `events:` of project.yaml: keys, structs, checks."""
