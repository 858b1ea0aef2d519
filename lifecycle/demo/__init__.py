"""The two demonstrations, from raw files to served answers."""
