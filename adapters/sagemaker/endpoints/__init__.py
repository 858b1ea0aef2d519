"""Endpoints of SageMaker, a production variant for each variant.

And adoption of others' endpoints.
"""
