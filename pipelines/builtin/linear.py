"""`trainer: isthmus.linear`: a linear regression of a number with an L2 penalty (ridge).

scikit-learn fits it (lsqr); weights are kept as JSON, and serving needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .encoding import learn, matrix
from .weights import LinearWeights, weights_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Linear(LinearWeights):
    """The number itself: the sum of weights, which may be below 0."""

    def predict_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the predicted number of each row of a table."""
        return self.score(table)


def linear(
    data: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    alpha: float = 1.0,
    categories: Sequence[str] = (),
    nulls: str = "indicator",
) -> Linear:
    """Fit a ridge regression of the label (a number) on the features' encoding.

    Raises:
        Invalid: a column cannot be encoded.
    """
    from sklearn.linear_model import Ridge

    encoding = learn(data, features, categories, nulls)
    fitted = Ridge(alpha=alpha, solver="lsqr", tol=1e-10, max_iter=10_000).fit(
        matrix(encoding, data), data[label].to_numpy()
    )
    return Linear(**weights_of(encoding, fitted.coef_, fitted.intercept_))
