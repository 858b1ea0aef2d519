"""Rollouts played under a scenario, in the scripted world or on a target, and what that showed."""
