"""What a project says, as frozen structs, and what follows from them alone."""
