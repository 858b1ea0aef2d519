"""GoogleSQL: analyzed by Google's own analyzer, run by DuckDB."""
