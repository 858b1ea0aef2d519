"""What jobs do: query, load, copy, extract."""
