"""pandas is imported by who uses it, and PyArrow knows it then."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(not find_spec("pandas"), reason="needs pandas")
BEGIN = "import sys; from isthmus.core import pandas_later; pandas_later.install()\n"
NULLS = (
    "print(pa.array(pd.Series([1.0, None])).null_count)"  # 0 where PyArrow does not know a Series
)


def printed(code):
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_values_become_an_array_without_pandas_and_a_series_is_known_once_somebody_has_imported_it():
    code = (
        "import pyarrow as pa; pa.table({'a': [1]}); print('pandas' in sys.modules); import "
        f"pandas as pd; {NULLS}"
    )
    assert printed(code) == ["False", "1"]


def test_who_imports_pandas_first_or_lets_pyarrow_do_it_notices_nothing():
    assert printed(f"import pandas as pd, pyarrow as pa; {NULLS}") == ["1"]
    assert printed(
        f"import pyarrow as pa; pa.table({{'a': [1]}}).to_pandas(); import pandas as pd; {NULLS}"
    ) == ["1"]
