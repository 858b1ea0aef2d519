"""Kubeflow's intermediate representation: its types, checks, values, conditions and placeholders. Pure."""
