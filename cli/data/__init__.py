"""Commands over events, features and tables."""
