"""How AWS's requests are read, checked against the service's own model, and answered."""
