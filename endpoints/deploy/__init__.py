"""Make declared variants run, adopt endpoints that stand already, and split first traffic."""
