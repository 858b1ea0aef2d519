"""Endpoints of Vertex AI: one for all variants, or one each for a sticky endpoint's."""
