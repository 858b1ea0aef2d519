"""Tests of the SageMaker adapter."""
