"""What a statement means: its parameters, the tables and functions it names, its resolved tree."""
