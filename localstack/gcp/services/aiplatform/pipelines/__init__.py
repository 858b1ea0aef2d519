"""Vertex AI Pipelines: Kubeflow's intermediate representation, run as processes of this machine."""
