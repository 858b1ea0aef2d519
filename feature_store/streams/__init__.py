"""Stream views: windows counted in tiles by a consumer of streams, and compared with history."""
