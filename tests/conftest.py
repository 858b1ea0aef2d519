"""Without a cloud's packages its adapter's and its stack's tests are not collected: the laptop needs none (nox session `laptop`)."""

from importlib.util import find_spec

collect_ignore = []
collect_ignore_glob = []
if not (find_spec("boto3") and find_spec("awswrangler") and find_spec("moto")):
    collect_ignore += ["localstack", "adapters/sagemaker", "lifecycle/test_offline.py"]
    collect_ignore_glob += ["*/test_sagemaker*"]
if not (find_spec("mypy") and find_spec("pyright")):
    collect_ignore += ["test_types.py"]
