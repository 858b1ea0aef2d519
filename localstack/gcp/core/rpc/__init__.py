"""RPCs and routes: Google's generated packages as a table, and HTTP requests as their messages."""
