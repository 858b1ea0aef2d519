"""Measure LightGBM's trees served by Isthmus beside bare LightGBM, in one run.

A model of `isthmus.boosting` answers requests of some rows, each a JSON object with a number or a
text for each feature. Beside it stands what somebody would write by hand: the same trees.txt in a
`lightgbm.Booster`, a matrix filled from the rows, and a bare Starlette app around that. Predictors
are asked in this process, servers over kept connections; all in turns, so that the machine's other
work meets all. `python -m benchmarks.endpoints.served_trees [--calls N]`
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

from isthmus.adapters.local.endpoints.client import Client
from isthmus.errors import Unavailable
from isthmus.storage import wait

from ..measure import Line, scaled, table
from .endpoint_call import BLOCK, KIND, turns

TRAINED = scaled(20_000, 500)
NUMBERS = [f"number_{n}" for n in range(10)]
DEVICES = ("desktop", "phone", "tablet")
SIZES = (1, 50)  # rows of a request
BARE = """
import json
import sys
from pathlib import Path

import lightgbm
import numpy as np

COLUMNS = json.loads((Path(sys.argv[1]) / "columns.json").read_text())
PLACES = {value: place for place, value in enumerate(COLUMNS["categories"]["device"])}
BOOSTER = lightgbm.Booster(model_str=(Path(sys.argv[1]) / "trees.txt").read_text())


def matrix(rows):
    numbers = COLUMNS["numbers"]
    return np.array(
        [[*(row[name] for name in numbers), PLACES.get(row["device"], np.nan)] for row in rows]
    )


def predict(rows):
    return BOOSTER.predict(matrix(rows), num_threads=1).tolist()
"""
APP = """
import sys

import uvicorn
from bare import predict
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def invoke(request):
    return JSONResponse({"predictions": predict((await request.json())["instances"])})


app = Starlette(routes=[Route("/invocations", invoke, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=scaled(4_000, 100))
    calls = parser.parse_known_args()[0].calls
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = Path(name)
        _prepare(folder)
        ports = [_free_port() for _ in range(2)]
        model, files = str(folder / "model"), str(folder / "model" / "files")
        commands = (
            [str(folder / "app.py"), files, str(ports[0])],
            ["-m", "isthmus.endpoints.server", "--model", model, "--port", str(ports[1])],
        )
        children = [subprocess.Popen([sys.executable, *command]) for command in commands]
        try:
            for rows in SIZES:
                _compare(folder, rows, ports, calls)
        finally:
            for child in children:
                child.kill()
                child.wait()


def _compare(folder: Path, rows: int, ports: list[int], calls: int) -> None:
    """Ask predictors and servers in turns for so many rows, and print a table of their times."""
    from isthmus.pipelines.models.predictor import load

    instances = _rows(rows)
    body = json.dumps({"instances": instances}).encode()
    bare, ours = _bare(folder), load(folder / "model").predictor
    app, server = (Client(port) for port in ports)
    filled = bare.matrix(instances)

    def ask(client: Client) -> list[float]:
        answer = client.request("POST", "/invocations", body, KIND, what="a call")
        return json.loads(answer.body)["predictions"]

    for client in (app, server):
        wait(partial(_listens, client), bool, deadline=timedelta(minutes=2), what="a server")
    expected = bare.predict(instances)
    for predictions in (ours.predict(instances), ask(app), ask(server)):
        if not all(abs(a - b) < 1e-12 for a, b in zip(predictions, expected, strict=True)):
            raise SystemExit("the predictions differ")
    callers = {
        "LightGBM alone, of a matrix": lambda: bare.BOOSTER.predict(filled, num_threads=1),
        "bare LightGBM, of rows": lambda: bare.predict(instances),
        "isthmus.boosting, of rows": lambda: ours.predict(instances),
        "bare Starlette with bare LightGBM": lambda: ask(app),
        "the model server": lambda: ask(server),
    }
    times = turns(callers, max(calls // 4, BLOCK))
    medians = {name: [statistics.median(block) for block in times[name]] for name in times}
    beside = {
        "isthmus.boosting, of rows": "bare LightGBM, of rows",
        "the model server": "bare Starlette with bare LightGBM",
    }
    lines = []
    for name, blocks in medians.items():
        other = medians.get(beside.get(name, ""))
        pairs = zip(blocks, other, strict=True) if other else ()
        ratios = [one / reference for one, reference in pairs]
        lines.append(
            Line(
                name=name,
                value=f"{statistics.median(blocks):.3f} ms",
                ratio=statistics.median(ratios) if ratios else None,
            )
        )
    own = {
        "a server's own part, bare": _less(
            medians["bare Starlette with bare LightGBM"], medians["bare LightGBM, of rows"]
        ),
        "the model server's own part": _less(
            medians["the model server"], medians["isthmus.boosting, of rows"]
        ),
    }
    first, second = own.values()
    for name, value in own.items():
        ratio = second / first if value is second else None
        lines.append(Line(name=name, value=f"{value:.3f} ms", ratio=ratio))
    table(
        f"trees served, {rows} rows a request: p50, and how many times the line's bare one", lines
    )


def _listens(client: Client) -> bool:
    """Return whether a server answers."""
    try:
        return client.request("GET", "/ping", what="a look").status < 500
    except Unavailable:
        return False


def _less(whole: list[float], part: list[float]) -> float:
    """Return the median of the rounds' differences."""
    return statistics.median(a - b for a, b in zip(whole, part, strict=True))


def _prepare(folder: Path) -> None:
    """Grow the trees and save them as a model's folder, with the bare app beside it."""
    import numpy as np
    import pyarrow as pa

    from isthmus.pipelines.builtin.boosting import boosting
    from isthmus.pipelines.models import predictor
    from isthmus.project.specs.description import Feature, Model

    data = pa.Table.from_pylist(_rows(TRAINED))
    score = data["number_0"].to_numpy() - data["number_1"].to_numpy() ** 2
    outcomes = (np.random.default_rng(1).random(TRAINED) < 1 / (1 + np.exp(-score))).astype(int)
    names = [*NUMBERS, "device"]
    fitted = boosting(data.append_column("outcome", pa.array(outcomes)), "outcome", names)
    model = Model(
        name="trees",
        path="models/trees.yaml",
        model="trees",
        objective="ctr",
        features=tuple(Feature(view=None, name=name) for name in names),
        trainer="isthmus.boosting",
    )
    types = dict.fromkeys(NUMBERS, "float64") | {"device": "string"}
    predictor.save(fitted, folder / "model", model=model, types=types)
    (folder / "bare.py").write_text(BARE)
    (folder / "app.py").write_text(APP)


def _rows(count: int):
    import numpy as np

    chance = np.random.default_rng(0)
    numbers = chance.normal(size=(count, len(NUMBERS))).tolist()
    devices = chance.choice(DEVICES, count).tolist()
    return [
        {**dict(zip(NUMBERS, values, strict=True)), "device": device}
        for values, device in zip(numbers, devices, strict=True)
    ]


def _bare(folder: Path):
    """Return the bare module, imported here."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("bare", folder / "bare.py")
    module = importlib.util.module_from_spec(spec)
    arguments, sys.argv = sys.argv, ["bare", str(folder / "model" / "files")]
    try:
        spec.loader.exec_module(module)
    finally:
        sys.argv = arguments
    return module


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


if __name__ == "__main__":
    main()
