"""The warehouse tables of events: their names, columns and column types, and how they are searched."""
