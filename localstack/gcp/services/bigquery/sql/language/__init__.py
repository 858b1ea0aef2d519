"""GoogleSQL as its analyzer resolved it, in the words of DuckDB. What is not listed here is refused
by its name.
"""
