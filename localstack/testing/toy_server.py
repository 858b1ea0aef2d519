"""A model server under SageMaker's contract, with no Isthmus in it:

`python toy_server.py serve`. Its model is a JSON file.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

model = json.loads(Path(os.environ["SM_MODEL_DIR"], "model.json").read_text())
print("serving", model["name"], sys.argv[1:], flush=True)
if model.get("dies"):
    sys.exit(3)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.say(200 if self.path == "/ping" and not model.get("ill") else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = int(body.split()[1]) if body.startswith(b"status ") else 200
        if body.startswith(b"sleep "):
            time.sleep(float(body.split()[1]))
        while (
            body.startswith(b"until ") and not Path(body.decode().removeprefix("until ")).exists()
        ):
            time.sleep(0.01)
        if body == b"die":
            os._exit(9)
        custom = self.headers.get("x-amzn-sagemaker-custom-attributes")
        more = {"X-Amzn-SageMaker-Custom-Attributes": f"{custom};seen"} if custom else {}
        self.say(
            status,
            json.dumps(self.echo(body)).encode(),
            self.headers.get("accept") or "application/json",
            more,
        )

    def echo(self, body):
        return {
            "model": model["name"],
            "type": self.headers.get("content-type"),
            "bytes": len(body),
            "env": os.environ.get("GREETING"),
            "mounted": Path("/opt/ml/model/model.json").exists(),
            "pid": os.getpid(),
        }

    def say(self, status, body, kind="application/json", more=()):
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **dict(more),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(
        ("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler
    ).serve_forever()
