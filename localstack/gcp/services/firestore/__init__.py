"""Firestore in native mode: databases, documents that are written and read by their names, and
their time to live.
"""
