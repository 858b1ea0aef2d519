"""The Glue catalogue is moto's; what it lacks is added here."""
