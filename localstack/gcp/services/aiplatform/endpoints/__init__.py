"""Vertex AI's endpoints that serve: a process a deployed model, traffic by the split, deployments
as long-running operations.

An image is a command (`--image NAME=COMMAND`); a model's container_spec.command takes its place,
container_spec.args come behind it. It is told where to listen by AIP_HTTP_PORT and `{port}` in the
command, where its model is by AIP_STORAGE_URI, which google-cloud-storage reads there, and by
`{model}`, a folder with the same files. It must answer AIP_HEALTH_ROUTE with 200 and
AIP_PREDICT_ROUTE, on 127.0.0.1.

ISTHMUS_STACK_ENDPOINT_SECONDS: how long (un)deploying, or changing replicas, takes on the clock
beside the work (default 60 on the manual clock, else 1). Other operations end at once.
"""
