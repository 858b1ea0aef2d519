"""The kit that draws pages: HTML and SVG as text. It knows nothing of what it draws."""
