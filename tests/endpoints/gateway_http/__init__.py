"""Tests of the gateway as a service over HTTP."""
