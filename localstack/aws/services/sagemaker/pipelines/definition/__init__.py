"""A pipeline's definition, version 2020-12-01: parsed, checked, its expressions evaluated."""
