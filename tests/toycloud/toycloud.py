"""An adapter of one port, to start from: blobs in a SQLite file, which stands for a cloud.

`bucket: toy://NAME` is ~/.toycloud/NAME.
"""

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from isthmus.adapters.rows import rows
from isthmus.errors import Invalid, NotFound
from isthmus.project.reading.shapes import RecordKey, Text
from isthmus.storage import BlobInfo
from isthmus.target import Adapter
from isthmus.times import utc_milliseconds

OPTIONS = {
    "bucket": RecordKey(
        shape=Text(what="a bucket", pattern=r"toy://[a-z0-9-]+", example="toy://ranker")
    )
}
PORTS = {"blobs": "toycloud:Blobs"}


class Options:
    """isthmus.target.Configured: its keys of profiles.yaml."""

    def keys(self):
        return OPTIONS


ADAPTER = Adapter(
    name="toycloud",
    title="Toy Cloud",
    capabilities=rows(),
    ports=PORTS,
    options=Options(),
    scheme="toy",
)


def place(_folder):
    """For one test of the conformance suite: the options of a profile whose target is empty."""
    return {"bucket": f"toy://{uuid4().hex}"}


class Blobs:
    def __init__(self, target):
        bucket = target.profile.options["bucket"]
        self.root, self._calls = f"{bucket}/{target.profile.project}", target.calls
        file = Path.home() / ".toycloud" / bucket.removeprefix("toy://")
        file.parent.mkdir(exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS blobs (uri TEXT PRIMARY KEY, data BLOB, modified REAL)"
        )

    def get(self, uri):
        self._calls.reading("get", self._checked(uri))
        for (data,) in self._db.execute("SELECT data FROM blobs WHERE uri = ?", (uri,)):
            return data
        raise NotFound(f"there is nothing at {uri}")

    def put(self, uri, data):
        with self._calls.mutating("put", self._checked(uri)):
            self._db.execute(
                "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", (uri, data, time.time())
            )

    def list(self, prefix):
        self._calls.reading("list", self._checked(prefix + "x"))
        query = (
            "SELECT uri, length(data), modified FROM blobs WHERE substr(uri, 1, ?) = ? ORDER BY uri"
        )
        rows = self._db.execute(query, (len(prefix), prefix)).fetchall()
        return (
            BlobInfo(uri=uri, size=size, modified=utc_milliseconds(datetime.fromtimestamp(at, UTC)))
            for uri, size, at in rows
        )

    def upload(self, folder, prefix):
        files = (file for file in folder.rglob("*") if file.is_file())
        for file in sorted(files, key=lambda file: (file.name == "manifest.json", file)):
            self.put(
                f"{prefix.rstrip('/')}/{file.relative_to(folder).as_posix()}", file.read_bytes()
            )

    def download(self, prefix, folder):
        below = prefix.rstrip("/") + "/"
        if not (blobs := list(self.list(below))):
            raise NotFound(f"there is nothing below {prefix}")
        for blob in blobs:
            file = folder / blob.uri.removeprefix(below)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.get(blob.uri))

    def delete(self, uri):
        with self._calls.mutating("delete", self._checked(uri)):
            self._db.execute("DELETE FROM blobs WHERE uri = ?", (uri,))

    def _checked(self, uri):
        if not uri.startswith(self.root + "/") or {"", ".", ".."} & set(
            uri[len(self.root) + 1 :].split("/")
        ):
            raise Invalid(f"{uri} is not below {self.root}")
        return uri
