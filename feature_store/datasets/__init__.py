"""Data sets: the rows that gateways scored, with their outcome, for both ways of learning."""
