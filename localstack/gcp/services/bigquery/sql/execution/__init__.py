"""Analyzed queries run: as SQL of DuckDB, or by GoogleSQL's reference implementation."""
