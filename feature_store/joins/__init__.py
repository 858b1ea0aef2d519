"""SQL that is made for a view: its history, and the point-in-time join."""
