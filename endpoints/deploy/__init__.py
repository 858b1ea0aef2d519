"""Make declared variants run, adopt what stands already, and give a new endpoint its first traffic."""
