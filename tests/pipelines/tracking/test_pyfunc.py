"""What a predictor is given by the file that MLflow loads it with."""

from datetime import datetime

import numpy as np
import pandas as pd

from isthmus.pipelines.tracking.isthmus_pyfunc import Predictor


class Echo:
    def predict(self, rows, *, blend=0.5):
        self.rows, self.blend = rows, blend
        return [float(len(row)) for row in rows]


TYPES = [
    ("seen", "int64"),
    ("rate", "float64"),
    ("name", "string"),
    ("new", "bool"),
    ("at", "timestamp"),
]


def test_rows_are_python_s_values_and_what_is_missing_is_none():
    echo = Echo()
    at = datetime(2026, 11, 1, 12)  # noqa: DTZ001  pandas and Arrow have no zone
    columns = {
        "seen": [3.0, None],
        "rate": [np.float64(0.5), np.nan],
        "name": ["a", None],
        "new": [True, None],
        "at": [at, None],
    }
    predictions = Predictor(echo, TYPES).predict(pd.DataFrame(columns))
    assert predictions == [5.0, 5.0]
    assert echo.rows == [
        {"seen": 3, "rate": 0.5, "name": "a", "new": True, "at": at},
        dict.fromkeys(columns),
    ]
    assert {name: type(value) for name, value in echo.rows[0].items()} == {
        "seen": int,
        "rate": float,
        "name": str,
        "new": bool,
        "at": datetime,
    }


def test_a_nullable_column_and_one_that_is_not_there_are_missing_values_too():
    echo = Echo()
    Predictor(echo, TYPES[:2]).predict(pd.DataFrame({"seen": pd.array([7, pd.NA], dtype="Int64")}))
    assert echo.rows == [{"seen": 7, "rate": None}, {"seen": None, "rate": None}]


def test_a_call_s_parameters_reach_the_predictor():
    echo = Echo()
    Predictor(echo, TYPES[:1]).predict(pd.DataFrame({"seen": [1]}), params={"blend": 0.7})
    assert echo.blend == 0.7
