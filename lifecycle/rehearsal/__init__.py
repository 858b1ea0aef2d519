"""Rehearse a rollout on a target's genuine adapter, in virtual time."""
