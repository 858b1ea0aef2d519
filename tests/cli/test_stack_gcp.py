"""`isthmus stack ... gcp`, as a user types it."""

import os
import signal
import subprocess
import sys

import pytest

from isthmus_stack.run import environment_for, start

pytestmark = pytest.mark.slow

ISTHMUS = [sys.executable, "-m", "isthmus", "stack"]


def isthmus(*words, cwd):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GCP_", "GOOGLE_"))
    }
    return subprocess.run(
        [*ISTHMUS, *words], cwd=cwd, capture_output=True, text=True, env=kept, check=False
    )


def test_up_prints_a_block_for_each_way_in_and_ends_at_ctrl_c(tmp_path):
    command = [*ISTHMUS, "up", "gcp", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first, door, exports, others, emulators = (
            process.stdout.readline().strip() for _ in range(5)
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        process.communicate()
    url = dict(word.split("=", 1) for word in exports.removeprefix("export ").split())[
        "GCP_ENDPOINT_URL"
    ]
    assert first.startswith(f"GCP on {url.removeprefix('http://')}   aiplatform storage bigquery ")
    assert door.startswith("nothing in the code")
    assert {
        f"HTTPS_PROXY={url}",
        "no_proxy=127.0.0.1,localhost",
        "NO_PROXY=127.0.0.1,localhost",
    } <= set(exports.split())
    assert f'api_endpoint="{url}"' in others
    assert f"STORAGE_EMULATOR_HOST={url}" in emulators.split()


def test_run_leads_the_genuine_clients_to_the_stack_with_nothing_in_the_code(tmp_path):
    code = (
        "from google.cloud import storage; storage.Client().create_bucket('shop'); print([b.name "
        "for b in storage.Client().list_buckets()])"
    )
    done = isthmus(
        "run", "gcp", "--clock", "manual", "--", sys.executable, "-c", code, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "['shop']\n"), done.stderr


@pytest.mark.parametrize(("cloud", "option"), [("gcp", "--moto-answers"), ("gcp", "--home=kept")])
def test_an_option_that_a_cloud_has_not_is_refused_by_its_name(tmp_path, cloud, option):
    done = isthmus("run", option, cloud, "--", "true", cwd=tmp_path)
    assert done.returncode == 1
    assert f"the offline {cloud.upper()} has no {option.partition('=')[0]}" in done.stderr
    assert not (tmp_path / "kept").exists()


def test_start_refuses_them_too(tmp_path):
    with pytest.raises(ValueError, match="the GCP stack has no home"):
        start("gcp", home=tmp_path)


def test_policy_prints_permissions_roles_and_a_custom_role(tmp_path):
    code = "from google.cloud import storage; list(storage.Client().list_buckets())"
    with start("gcp") as running:
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment_for(running.url, os.environ, "gcp"),
            check=True,
        )
        done = isthmus("policy", "--url", running.url, cwd=tmp_path)
    assert done.stdout.splitlines()[:2] == ["1 permissions were used", "  storage.buckets.list"], (
        done.stderr
    )
    assert "  roles/storage.bucketViewer" in done.stdout.splitlines()
    assert done.stdout.endswith("includedPermissions:\n- storage.buckets.list\n")
