"""Rules for blobs, small documents and counters, the same on every target."""
