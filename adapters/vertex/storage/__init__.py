"""Blobs and state in Cloud Storage, counters in Firestore."""
