"""What an experiment is: its definition as it is frozen at a start, the buckets that it holds, and how many units it needs."""
