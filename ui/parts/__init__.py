"""What every page is made of: its frame, forms, links, style, and what it says of a failure."""
