"""Blobs, small documents and counts as every store keeps them."""
