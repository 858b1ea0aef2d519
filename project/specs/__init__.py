"""A project as frozen structs, and what follows from them alone."""
