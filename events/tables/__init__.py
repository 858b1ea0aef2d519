"""The warehouse tables of events: names, columns, column types, and how they are searched."""
