"""Types and values of columns: as the REST API, DuckDB, Arrow and GoogleSQL spell them."""
