"""The work of jobs: query, load, copy, extract."""
