"""The event catalogue: its entries, who reads them, and what a change of it breaks."""
