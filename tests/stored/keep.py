"""Keep what a release stores: `python tests/stored/keep.py CHECKOUT NAME`, run once for a release, by the release's own code.

CHECKOUT is a clone of Isthmus at the release. It runs the commands below in a project of its own and keeps

    tests/stored/NAME/      that project with all that it stored on the laptop; `home/` is its .isthmus
    tests/documents/NAME/   one document of every kind, byte by byte, from there and from S3 and Glue of the offline AWS

What is stored names the project's folder (run.json, artifacts, the registry, endpoints), so it is made in PLACE, which is nobody's home;
`moved` in stored.py puts a copy elsewhere.
"""

import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

PLACE = Path("/tmp/isthmus-stored/starter")
TESTS = Path(__file__).parent.parent
PROFILES = """default: local
targets:
  local: {}
  sagemaker:
    account: "123456789012"
    region: ap-northeast-1
    bucket: s3://starter
    role: arn:aws:iam::123456789012:role/ranker
    image: 123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/ranker:1
"""
OTHER = "\n\ndef flat(data, label, features):\n    return History(0.1)\n\n\ndef broken(data, label, features):\n    raise KeyError(label)\n"
BAD = "event_id,event_timestamp,item_id,position\nbad,2026-01-04 01:00:00,7,0\n"  # position is at least 1
NOW = "2026-01-05"
REQUEST = '{"visitor_id": "v1", "item_id": [1, 2, 3], "slots": 1}'
EMIT = """
import isthmus
with isthmus.open("project.yaml") as project:
    row = {"event_id": "single", "event_timestamp": "2026-01-04T02:00:00Z", "item_id": 7, "position": 1}
    assert not isthmus.emit(project, "impression", [row])
"""
FETCH = """
import json, sys
import boto3
from isthmus_stack.run import variables
url = json.load(open(".isthmus/stack/aws.json"))["url"]
pair = {name.lower(): value for name, value in variables("aws", url).items() if "_KEY" in name}
session = dict(endpoint_url=url, region_name="ap-northeast-1", **pair)
s3, glue = boto3.client("s3", **session), boto3.client("glue", **session)
found = {}
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="starter"):
    for item in page.get("Contents", ()):
        if item["Key"].endswith(".json") or "/state/" in item["Key"] or "/online/" in item["Key"]:
            found[item["Key"]] = s3.get_object(Bucket="starter", Key=item["Key"])["Body"].read().decode()
for table in glue.get_tables(DatabaseName="isthmus_starter")["TableList"]:
    found["glue/" + table["Name"]] = table["Parameters"]["isthmus_document"]
json.dump(found, sys.stdout)
"""


def main(checkout, name):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{Path(checkout).resolve()}/.alias",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def python(*words, ok=True):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=PLACE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        print(
            "$",
            *[word.strip().partition("\n")[0] for word in words],
            "->",
            done.returncode,
            flush=True,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def isthmus(*words, ok=True):
        return python("-m", "isthmus", *words, ok=ok)

    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    isthmus("init", ".", "--example", "starter")
    configure(PLACE)
    for words in (
        ("apply",),
        ("ingest",),
        ("ingest", "data/bad.csv", "--event", "impression", "--max-bad", "1"),
        ("materialize",),
    ):
        isthmus(*words)
    python("-c", EMIT)
    for words in (("train", "models/history.yaml"), ("train", "models/flat.yaml")):
        isthmus(*words)
    isthmus("train", "models/broken.yaml", ok=False)
    isthmus("models", "promote", "ranker@1", "--alias", "previous", "--because", "it was the first")
    isthmus("deploy", "home")
    isthmus("endpoints", "invoke", "home", REQUEST)
    stop(PLACE / ".isthmus" / "endpoints" / "home")
    home = keep_store(name)
    try:
        isthmus("apply", "--target", "sagemaker", "--offline")
        isthmus("ingest", "--target", "sagemaker", "--offline")
        isthmus("materialize", "--target", "sagemaker", "--offline")
        isthmus("train", "models/history.yaml", "--target", "sagemaker", "--offline")
        cloud = json.loads(python("-c", FETCH))
        keep_documents(
            TESTS / "documents" / name,
            home,
            cloud,
            (PLACE / ".isthmus" / "stack" / "aws.json").read_text(),
        )
    finally:
        isthmus("stack", "down")


def configure(folder):
    (folder / "profiles.yaml").write_text(PROFILES)
    for name in ("impressions", "clicks"):  # four days: the files of a day are what is large here
        header, *rows = (folder / "data" / f"{name}.csv").read_text().splitlines(keepends=True)
        few = [row for row in rows if row.split(",")[1] < NOW]
        (folder / "data" / f"{name}.csv").write_text("".join([header, *few]))
    (folder / "data" / "bad.csv").write_text(BAD)
    (folder / "data" / "items.csv").write_text("item_id,price\n1,2.5\n2,3.5\n")
    text = (folder / "project.yaml").read_text()
    text = text.replace("now: 2026-01-08", f"now: {NOW}", 1)
    (folder / "project.yaml").write_text(
        text.replace("\nfeature_views:", "\ntables:\n  items: data/items.csv\n\nfeature_views:", 1)
    )
    (folder / "ranker.py").write_text((folder / "ranker.py").read_text() + OTHER)
    history = (folder / "models" / "history.yaml").read_text()
    for other in ("flat", "broken"):
        text = history.replace("ranker.history", f"ranker.{other}").replace(
            "alias: champion", "alias: challenger"
        )
        (folder / "models" / f"{other}.yaml").write_text(text)


def stop(endpoint):
    """End the supervisor, as a restart of the machine would, and wait until its pid is gone."""
    pid = json.loads((endpoint / "supervisor.json").read_text())["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise TimeoutError(f"supervisor {pid} does not end")


def keep_store(name):
    with sqlite3.connect(PLACE / ".isthmus" / "local.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    kept = TESTS / "stored" / name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(
        PLACE, kept, ignore=shutil.ignore_patterns("__pycache__", ".isthmus", ".gitignore")
    )
    ignored = shutil.ignore_patterns(
        "__pycache__",
        "tmp",
        "*.db-wal",
        "*.db-shm",
        "lock",
        "*.lock",
        ".*.lock",
        "*.log",
        "report.html",
    )
    shutil.copytree(PLACE / ".isthmus", kept / "home", ignore=ignored)
    return kept / "home"


def keep_documents(folder, home, cloud, ready):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with sqlite3.connect(f"file:{home / 'local.db'}?immutable=1", uri=True) as connection:
        state = dict(connection.execute("SELECT key, value FROM state"))
        online = dict(connection.execute("SELECT name, document FROM online_views"))
        batch = connection.execute(
            "SELECT contents FROM warehouse_batches ORDER BY name, batch"
        ).fetchone()[0]
    connection.close()

    def on_disk(pattern):
        return min(home.glob(pattern)).read_bytes()

    def in_cloud(beginning, ending=""):
        keys = sorted(key for key in cloud if beginning in key and key.endswith(ending))
        return cloud[keys[0]].encode()

    documents = {
        "state_counter": state["runs/counter"],
        "state_view": state["views/item_history"],
        "state_table": state["tables/items"],
        "state_traffic": state["traffic/home"],
        "state_project": state["project"],
        "state_promotion": state["models/ranker/promotions/000001"],
        "run": on_disk("**/runs/r1/run.json"),
        "record": on_disk("**/runs/r1/record.json"),
        "key": on_disk("**/runs/r1/fit/key.json"),
        "step": on_disk("**/runs/r1/fit/step.json"),
        "failed": on_disk("**/runs/r3/*/failed.json"),
        "artifact": on_disk("**/runs/r1/fit/model.manifest.json"),
        "data": on_disk("**/runs/r1/dataset/data/data.json"),
        "evaluation": on_disk("**/runs/r1/evaluate/forward/evaluation.json"),
        "model": on_disk("**/runs/r1/fit/model/model.json"),
        "cache": on_disk("**/cache/history/fit/*.json"),
        "raw": on_disk("**/raw/click/*/manifest.json"),
        "online_view": online["item_history"],
        "batch": batch,
        "supervisor": on_disk("endpoints/home/supervisor.json"),
        "table": in_cloud("glue/impression_raw"),
        "s3_state": in_cloud("/state/views/"),
        "s3_online": base64.b64decode(json.loads(in_cloud("/online/"))["value"]),
        "s3_batch": in_cloud("/_batches/", ".json"),
        "s3_execution": in_cloud("/executions/", ".json"),
        "stack": ready.encode(),
    }
    for name, data in documents.items():
        (folder / f"{name}.json").write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
