"""The project's description compared with its target: plan, apply, status, destroy."""
