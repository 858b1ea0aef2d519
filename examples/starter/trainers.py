"""Trainers that keep a library's model in its own files: scikit-learn and LightGBM, without a pickle.

`trainer: trainers.logistic` or `trainer: trainers.boosting` in a file of models/ takes one. Features are numbers.
"""
import json

import numpy


class LogisticModel:
    """A scikit-learn regression; a feature without a value counts as its mean."""

    def __init__(self, features, means, fitted):
        self.features, self.means, self.fitted = features, means, fitted

    def predict(self, rows):
        return self.chances([[row[name] for row in rows] for name in self.features])

    def predict_table(self, table):      # the same by columns, for evaluation
        return self.chances([table[name].to_pylist() for name in self.features])

    def chances(self, columns):
        known = [numpy.nan_to_num(numpy.asarray(column, float), nan=mean) for column, mean in zip(columns, self.means)]
        return self.fitted.predict_proba(numpy.column_stack(known))[:, 1]

    def save(self, folder):              # called once after training: write what `load` needs
        numpy.savez(folder / "weights.npz", coef=self.fitted.coef_, intercept=self.fitted.intercept_, classes=self.fitted.classes_)
        (folder / "columns.json").write_text(json.dumps({"features": self.features, "means": self.means}))

    @classmethod
    def load(cls, folder):               # called where the model is served: no training data there
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression()
        with numpy.load(folder / "weights.npz", allow_pickle=False) as weights:
            fitted.coef_, fitted.intercept_, fitted.classes_ = weights["coef"], weights["intercept"], weights["classes"]
        return cls(**json.loads((folder / "columns.json").read_text()), fitted=fitted)


def logistic(data, label, features, C=1.0):      # data: pyarrow.Table; `parameters` arrive by name
    from sklearn.linear_model import LogisticRegression

    columns = [numpy.asarray(data[name].to_pylist(), float) for name in features]
    means = [float(numpy.nanmean(column)) if not numpy.isnan(column).all() else 0.0 for column in columns]
    known = numpy.column_stack([numpy.nan_to_num(column, nan=mean) for column, mean in zip(columns, means)])
    return LogisticModel(features, means, LogisticRegression(C=C, max_iter=1000).fit(known, data[label].to_numpy()))


class BoostingModel:
    """Trees of LightGBM, which reads a missing value by itself."""

    def __init__(self, features, booster):
        self.features, self.booster = features, booster

    def predict(self, rows):
        return self.booster.predict(numpy.asarray([[row[name] for name in self.features] for row in rows], float))

    def predict_table(self, table):
        return self.booster.predict(numpy.column_stack([numpy.asarray(table[name].to_pylist(), float) for name in self.features]))

    def save(self, folder):
        # the features' names stand in it, too
        self.booster.save_model(folder / "trees.txt")

    @classmethod
    def load(cls, folder):
        import lightgbm

        booster = lightgbm.Booster(model_file=folder / "trees.txt")
        return cls(booster.feature_name(), booster)


def boosting(data, label, features, trees=50, leaves=7, rate=0.1):
    import lightgbm

    rows = numpy.column_stack([numpy.asarray(data[name].to_pylist(), float) for name in features])
    settings = {"objective": "binary", "num_leaves": leaves, "learning_rate": rate, "deterministic": True, "num_threads": 1, "verbose": -1}
    dataset = lightgbm.Dataset(rows, data[label].to_numpy(), feature_name=list(features))
    return BoostingModel(list(features), lightgbm.train(settings, dataset, num_boost_round=trees))
