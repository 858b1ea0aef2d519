"""Tables and views: made, changed, dropped, and rows written into them."""
