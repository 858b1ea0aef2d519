"""Vertex AI's online prediction: requests to an endpoint's deployed models, by the traffic split.

Over HTTP a body is passed on as it came; its instances are only counted. Both transports run in the
stack's loop, without a thread.
"""
