"""Write GoogleSQL, as its analyzer resolved it, in the words of DuckDB.

What is not listed in these modules is refused by its name.
"""
