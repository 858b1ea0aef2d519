"""The meaning of a statement: its parameters, its tables and functions, its resolved tree."""
