"""A model server for the tests of batch transform:

`python batch_server.py serve`. It doubles numbers, line by line.
"""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOLD = json.loads(Path(os.environ["SM_MODEL_DIR"], "model.json").read_text())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    failed = False

    def log_message(self, *_):
        pass

    def do_GET(self):
        own = TOLD.get("execution_parameters")
        if self.path == "/execution-parameters" and own:
            return self.say(200, json.dumps(own).encode())
        return self.say(200 if self.path == "/ping" else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if "sleep" in body:
            time.sleep(600)
        if "once" in body and not Handler.failed:
            Handler.failed = True
            return self.say(503, b"not yet")
        if "bad" in body:
            return self.say(400, b"bad row")
        if "asked" in body:
            variables = {
                key: value
                for key, value in os.environ.items()
                if key.startswith(("SAGEMAKER_BATCH", "SAGEMAKER_MAX", "GREETING"))
            }
            return self.say(
                200,
                json.dumps(
                    {
                        "type": self.headers["content-type"],
                        "lines": body.count("\n") + 1,
                        **variables,
                    }
                ).encode(),
            )
        return self.say(200, "\n".join(self.doubled(line) for line in body.split("\n")).encode())

    def doubled(self, line):
        if self.headers["content-type"] == "text/csv":
            return ",".join(str(2 * float(cell)) for cell in line.split(","))
        values = json.loads(line)
        return json.dumps(
            [2 * value for value in values]
            if isinstance(values, list)
            else {"sum": sum(values.values())}
        )

    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(
        ("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler
    ).serve_forever()
