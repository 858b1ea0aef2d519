"""The files of models/: their keys, their structs, their checks."""
