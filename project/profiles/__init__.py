"""The file profiles.yaml: targets, their options, variables of the environment."""
