"""Runs what drives the genuine sagemaker v3 SDK, in a process of its own, against a stack, and
gives what it saw.
"""

import json
import subprocess
import sys

from isthmus_stack.run import environment_for

QUIET = (
    "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
)


def seen_by(client, folder, stack, **environment):
    """`client` writes JSON to the file that it is given."""
    config, answer = folder / "config.yaml", folder / "seen.json"
    config.write_text(QUIET)
    done = subprocess.run(
        [sys.executable, client, answer],
        env={
            **environment_for(stack.url),
            **environment,
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + stack.log.read_text()[-2000:]
    return json.loads(answer.read_text())
