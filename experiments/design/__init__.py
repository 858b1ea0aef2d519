"""What an experiment is: its frozen definition, its buckets, and the units that it needs."""
