"""A project's first steps: a new folder, events proposed from a file, trust in others' files."""
