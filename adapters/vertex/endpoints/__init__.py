"""Endpoints: one for all variants, or one apiece where they are kept apart."""
