"""Pipeline runs and model registries as every adapter judges them."""
