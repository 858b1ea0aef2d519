"""Firestore in native mode: databases, documents by their names, and their time to live."""
