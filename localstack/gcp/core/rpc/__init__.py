"""RPCs and routes: Google's generated packages as a table, and requests over HTTP as their messages."""
