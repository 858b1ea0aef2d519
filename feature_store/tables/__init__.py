"""The warehouse tables of objectives, static tables and feature views."""
