"""Rules for pipeline runs and model registries, the same on every target."""
