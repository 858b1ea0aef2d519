"""Resources by Google's API guidelines: stores, pages, filters, etags, long-running operations."""
