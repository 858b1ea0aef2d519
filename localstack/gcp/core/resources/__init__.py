"""Resources in the shape of Google's API guidelines: stores, pages, filters, etags, long-running operations."""
