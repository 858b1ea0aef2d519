"""Find the adapters that are installed."""
