"""Experiments, trials and components: moto's, with their tags."""
