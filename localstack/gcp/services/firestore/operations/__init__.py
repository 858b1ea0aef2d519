"""Firestore and FirestoreAdmin: a file for each kind of resource."""
