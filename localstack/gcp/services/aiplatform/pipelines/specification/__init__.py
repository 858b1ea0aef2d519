"""Kubeflow's intermediate representation: types, checks, values, conditions, placeholders. Pure."""
