"""Single events on this machine: durable in SQLite at once, then batches of the warehouse."""
