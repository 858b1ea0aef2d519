"""Rehearsals: rollouts played under a scenario, in the scripted world or on a target."""
