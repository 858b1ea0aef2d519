"""SageMaker endpoints that serve: processes, traffic by weight, deployments on the stack's clock.

An image is a command (`--image NAME=COMMAND`), started with the word `serve` behind it, as
SageMaker starts a container. It is told where to listen by SAGEMAKER_BIND_TO_PORT and `{port}` in
the command, where its model is by SM_MODEL_DIR and `{model}`; /opt/ml/model is really there where a
private mount namespace is permitted. It must answer GET /ping with 200 and POST /invocations, on
127.0.0.1.

ISTHMUS_STACK_ENDPOINT_SECONDS: how long creating, updating, reweighing and deleting take on the
clock (default 60 on the manual clock, else 1).
"""
