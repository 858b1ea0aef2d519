"""Three models of the click: what is popular, who clicks, and both. A predictor's attributes are kept as JSON: no pickle.

`predict` answers a request's rows, `predict_table` says the same by columns and is what evaluation uses. What is keyword-only a call may set.
"""
from math import exp, log

FIRST = 0.2    # before anything is known


class Popularity:
    """The item's recent click-through rate."""

    def predict(self, rows):
        return [FIRST if row["item_ctr_14d"] is None else row["item_ctr_14d"] for row in rows]

    def predict_table(self, table):
        return table["item_ctr_14d"].fill_null(FIRST)


class Likes:
    """The visitor's recent click-through rate: one score for a whole list."""

    def predict(self, rows):
        return [FIRST if row["visitor_ctr_14d"] is None else row["visitor_ctr_14d"] for row in rows]

    def predict_table(self, table):
        return table["visitor_ctr_14d"].fill_null(FIRST)


class Logistic:
    def __init__(self, weights, intercept):
        self.weights, self.intercept = weights, intercept

    def predict(self, rows, *, blend=1.0):      # at 0 by what is popular alone
        popular = Popularity().predict(rows)
        return [blend * self.chance(row) + (1 - blend) * rate for row, rate in zip(rows, popular)]

    def chance(self, row):
        return 1 / (1 + exp(-self.intercept - sum(w * x for w, x in zip(self.weights, numbers(row)))))

    def predict_table(self, table):
        import numpy

        return 1 / (1 + numpy.exp(-self.intercept - matrix(table) @ self.weights))


def numbers(row):
    """A row as the regression reads it: rates in log-odds."""
    rates = [FIRST if row[name] is None else row[name] for name in ("item_ctr_14d", "visitor_ctr_14d")]
    return [*(log(rate / (1 - rate)) for rate in rates), float(row["position"])]


def matrix(table):
    """All rows as the regression reads them: the same as `numbers`, by columns."""
    import numpy

    rates = [table[name].fill_null(FIRST).to_numpy() for name in ("item_ctr_14d", "visitor_ctr_14d")]
    return numpy.column_stack([*(numpy.log(rate / (1 - rate)) for rate in rates), table["position"].to_numpy().astype(float)])


def popularity(data, label, features):      # data: pyarrow.Table; returns a predictor
    return Popularity()


def likes(data, label, features):
    return Likes()


def logistic(data, label, features, C=1.0):      # `parameters` arrive by name
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=C, max_iter=1000).fit(matrix(data), data[label].to_numpy())
    return Logistic([float(weight) for weight in fitted.coef_[0]], float(fitted.intercept_[0]))
