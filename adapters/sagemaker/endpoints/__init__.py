"""Endpoints:

SageMaker's, with a production variant for each variant; those of others that are taken over.
"""
