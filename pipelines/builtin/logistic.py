"""`trainer: isthmus.logistic`: a logistic regression with an L2 penalty.

scikit-learn fits it (lbfgs); weights are kept as JSON, and serving needs NumPy alone.
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


class Logistic(LinearWeights):
    """The probability of the outcome: 1 / (1 + exp(-score))."""

    def predict_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the predicted probability of each row of a table."""
        import numpy as np

        return 1 / (1 + np.exp(-np.clip(self.score(table), -700, 700)))


def logistic(
    data: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    C: float = 1.0,  # noqa: N803  scikit-learn's name
    categories: Sequence[str] = (),
    nulls: str = "indicator",
) -> Logistic:
    """Fit a logistic regression of the label (0 or 1) on the features' encoding.

    Raises:
        Invalid: a column cannot be encoded.
    """
    from sklearn.linear_model import LogisticRegression

    encoding = learn(data, features, categories, nulls)
    fitted = LogisticRegression(C=C, max_iter=1000).fit(
        matrix(encoding, data), data[label].to_numpy()
    )
    return Logistic(**weights_of(encoding, fitted.coef_[0], fitted.intercept_[0]))
