"""A logistic regression over any features: numbers, and words by their most frequent values.

A predictor's attributes are kept as JSON: no pickle. A feature without a value counts as its mean.
"""
from math import exp

import numpy

FREQUENT = 30      # values of a feature of words that have a weight of their own


class Logistic:
    def __init__(self, numbers, words, weights, intercept):
        self.numbers, self.words = numbers, words      # [[name, mean, spread]], [[name, [value, ...]]]
        self.weights, self.intercept = weights, intercept

    def predict(self, rows):
        return [1 / (1 + exp(-self.intercept - sum(w * x for w, x in zip(self.weights, self.row(row))))) for row in rows]

    def row(self, row):
        """One row as the regression reads it."""
        scaled = [0.0 if row[name] is None else (float(row[name]) - mean) / spread for name, mean, spread in self.numbers]
        return scaled + [float(row[name] == value) for name, values in self.words for value in values]

    def predict_table(self, table):      # the same by columns, for evaluation
        return 1 / (1 + numpy.exp(-self.intercept - matrix(table, self.numbers, self.words) @ numpy.asarray(self.weights)))


def matrix(table, numbers, words):
    """All rows as the regression reads them."""
    columns = [(numpy.nan_to_num(column(table, name), nan=mean) - mean) / spread for name, mean, spread in numbers]
    for name, values in words:
        texts = numpy.asarray(table[name].to_pylist(), dtype=object)
        columns += [(texts == value).astype(float) for value in values]
    return numpy.column_stack(columns)


def column(table, name):
    """A column of numbers, NaN where there is no value."""
    import pyarrow

    return numpy.asarray(table[name].cast(pyarrow.float64()).to_numpy(), float)


def logistic(data, label, features, C=0.1):      # data: pyarrow.Table; `parameters` arrive by name
    import pyarrow
    from sklearn.linear_model import LogisticRegression

    numbers, words = [], []
    for name in features:
        if pyarrow.types.is_string(data.schema.field(name).type):
            counts = sorted(data[name].drop_null().value_counts().to_pylist(), key=lambda one: (-one["counts"], one["values"]))
            words.append([name, [one["values"] for one in counts[:FREQUENT]]])
        else:
            values = column(data, name)
            known = values[~numpy.isnan(values)]
            numbers.append([name, float(known.mean()) if len(known) else 0.0, (float(known.std()) if len(known) else 0.0) or 1.0])
    fitted = LogisticRegression(C=C, max_iter=1000).fit(matrix(data, numbers, words), data[label].to_numpy())
    return Logistic(numbers, words, [float(weight) for weight in fitted.coef_[0]], float(fitted.intercept_[0]))
