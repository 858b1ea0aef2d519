"""Shifts of production traffic between two variants.

The engine cannot be misled by a crash, a second controller or a lying cloud. Its heart is tick.py,
which decides; controller.py looks and acts. They stand on state/ (what a rollout is), evidence/
(whether a variant is worse) and phases/ (what each phase decides); page/, rehearsal/ and verbs/ use
them.
"""
