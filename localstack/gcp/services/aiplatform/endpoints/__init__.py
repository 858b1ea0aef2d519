"""Vertex AI's endpoints: a server process for each deployed model, traffic by the split.

An image is a command (`--image NAME=COMMAND`); a model's container_spec.command takes its place,
and container_spec.args come behind it. The variable AIP_HTTP_PORT and `{port}` in the command say
where to listen; AIP_STORAGE_URI, which google-cloud-storage reads, and `{model}`, a folder with the
same files, say where the model is. The server must answer AIP_HEALTH_ROUTE with 200 and
AIP_PREDICT_ROUTE, on 127.0.0.1.

ISTHMUS_STACK_ENDPOINT_SECONDS: how long (un)deploying, or changing replicas, takes on the clock
besides the work (default 60 on the manual clock, else 1). Other operations end at once.
"""
