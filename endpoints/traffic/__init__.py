"""The traffic of an endpoint: its owner, its split, moving it by hand, and whether it arrived."""
