"""What a gateway's process counts, what its processes share, and what a forked one begins anew."""
