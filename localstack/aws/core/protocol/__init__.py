"""How AWS's requests are read, checked against the service's own model, handed to moto, and answered."""
