"""The parts that every page is made of: frame, forms, links, style, and failures."""
