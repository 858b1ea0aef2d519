"""A model server under Vertex AI's contract, with no Isthmus in it:

`python toy_server.py`. Its model is a JSON file.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

file = Path(sys.argv[1], "model.json") if len(sys.argv) > 1 else None
model = (
    json.loads(file.read_text())
    if file and file.exists()
    else json.loads(os.environ.get("MODEL", "{}"))
)
print("serving", model.get("name"), flush=True)
if model.get("dies"):
    sys.exit(3)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.say(
            200 if self.path == os.environ["AIP_HEALTH_ROUTE"] and not model.get("ill") else 404,
            b"",
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == os.environ["AIP_PREDICT_ROUTE"]:
            self.predict(body)
        else:
            self.say(404, b"")

    def predict(self, body):
        try:
            request = json.loads(body)
        except ValueError:
            return self.say(200, body[::-1], "text/plain")
        instances = request.get("instances", [])
        for instance in instances:
            if isinstance(instance, dict):
                time.sleep(instance.get("sleep", 0))
                if "status" in instance:
                    return self.say(instance["status"], json.dumps({"what": "asked for"}).encode())
                if instance.get("die"):
                    os._exit(9)
        if request.get("stream"):
            return self.stream(request["stream"])
        said = {"predictions": [self.prediction(instance, request) for instance in instances]}
        return self.say(200, json.dumps(said).encode())

    def prediction(self, instance, request):
        if instance == "env":
            return {
                name: value
                for name, value in os.environ.items()
                if name.startswith(("AIP_", "TOY_"))
            }
        if instance == "parameters":
            return request.get("parameters")
        if instance == "headers":
            return dict(self.headers)
        return model.get("name", instance) if instance == "name" else instance

    def stream(self, parts):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in [*parts, ""]:
            data = f"{part}\n".encode() if part else b""
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def say(self, status, body, kind="application/json"):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
