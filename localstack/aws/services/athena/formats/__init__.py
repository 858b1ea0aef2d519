"""Values in files: their types, and rows as JSON lines and text."""
