"""Vertex AI Pipelines:

Kubeflow's intermediate representation, executed as processes of this machine.
"""
