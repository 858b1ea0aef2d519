"""Tables, relations and queries as every warehouse judges them, and the clouds' allow-list of SQL."""
