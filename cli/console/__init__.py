"""The parts that every command shares: options, text or JSON, tables, errors, exit codes."""
