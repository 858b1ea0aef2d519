"""The sections `tables:` and `feature_views:` of project.yaml: keys, structs, checks, files."""
