"""The design of an experiment: its frozen definition, its buckets, and the units that it needs."""
