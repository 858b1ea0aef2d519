"""Two models of the click: what was known of the item, and a logistic regression over every view."""
from math import exp


class Popularity:
    """The item's click-through rate as production knew it before the log."""

    def predict(self, rows):
        return [row["item_ctr_prior"] for row in rows]


class Logistic:
    def __init__(self, intercept, numbers, levels):
        self.intercept, self.numbers, self.levels = intercept, numbers, levels

    def predict(self, rows):
        return [1 / (1 + exp(-self.score(row))) for row in rows]

    def score(self, row):
        total = self.intercept
        for name, (mean, scale, weight) in self.numbers.items():
            total += weight * ((mean if row[name] is None else row[name]) - mean) / scale
        return total + sum(weights.get(str(row[name]), 0.0) for name, weights in self.levels.items())


def popularity(data, label, features):
    return Popularity()


def logistic(data, label, features, C=0.1):      # data: pyarrow.Table; returns a predictor; `parameters` arrive by name
    from sklearn.compose import make_column_transformer      # here, as whoever only predicts needs none of it
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = data.to_pandas()
    numbers = [n for n in features if n != "position" and frame[n].dtype.kind in "if"]
    levels = [n for n in features if n not in numbers]
    frame[numbers] = frame[numbers].fillna(frame[numbers].mean())
    frame[levels] = frame[levels].astype(str)
    columns = make_column_transformer((scaler := StandardScaler(), numbers), (OneHotEncoder(), levels))
    fitted = LogisticRegression(C=C, max_iter=1000).fit(columns.fit_transform(frame), frame[label])
    scaler, encoder = (columns.named_transformers_[n] for n in ("standardscaler", "onehotencoder"))
    weight = iter(map(float, fitted.coef_[0]))
    return Logistic(
        float(fitted.intercept_[0]),
        {n: (float(m), float(s), next(weight)) for n, m, s in zip(numbers, scaler.mean_, scaler.scale_)},
        {n: {value: next(weight) for value in values} for n, values in zip(levels, encoder.categories_)},
    )
