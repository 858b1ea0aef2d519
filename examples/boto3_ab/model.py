"""What the container image runs: `model.py train` in a training job, `model.py serve` behind an endpoint. Standard library only."""

import csv
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INPUT = Path(os.environ.get("SM_INPUT_DIR", "/opt/ml/input"))
MODEL = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))


def train():
    """Each item's click-through rate, smoothed by `prior` impressions at the average rate."""
    prior = float(json.loads((INPUT / "config/hyperparameters.json").read_text())["prior"])
    with (INPUT / "data/clicks/clicks.csv").open() as file:
        rows = list(csv.DictReader(file))
    average = sum(int(row["clicks"]) for row in rows) / sum(int(row["impressions"]) for row in rows)
    rates = {row["item_id"]: (int(row["clicks"]) + prior * average) / (int(row["impressions"]) + prior) for row in rows}
    (MODEL / "rates.json").write_text(json.dumps(rates))
    print(f"average={average:.6f}; items={len(rates)};")


class Server(BaseHTTPRequestHandler):
    """GET /ping, POST /invocations with {"items": [id, ...]}: the rate of each."""

    def do_GET(self):
        self.reply({})

    def do_POST(self):
        items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["items"]
        self.reply({"rates": [RATES.get(str(item)) for item in items]})

    def reply(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if sys.argv[-1] == "train":
        train()
    else:
        RATES = json.loads((MODEL / "rates.json").read_text())
        port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
        host = "127.0.0.1" if "SAGEMAKER_BIND_TO_PORT" in os.environ else "0.0.0.0"
        ThreadingHTTPServer((host, port), Server).serve_forever()
