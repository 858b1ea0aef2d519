"""Pipeline runs on this machine: a table of runs, and a detached process a run."""
