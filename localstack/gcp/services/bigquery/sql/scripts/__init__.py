"""Scripts: several statements in one job, with variables, branches and loops."""
