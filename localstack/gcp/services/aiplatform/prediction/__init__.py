"""Vertex AI's online prediction: a request to one of an endpoint's deployed models, by its traffic
split.

Over HTTP a body is passed on as it came; its instances are only counted. Both transports run in the
stack's loop, without a thread.
"""
