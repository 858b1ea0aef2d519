"""`with: isthmus.text`: vectors of texts by TF-IDF and a truncated SVD.

A term weighs (1 + log of how often it is in the text) x (log((1 + texts) / (1 + texts with it)) +
1), and a text's weights have length 1 (TF-IDF with sublinear term frequency). The vector is their
product with the SVD's components: texts of like terms have a like direction.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Invalid, MissingDependency
from .tokens import tokenizer as find_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CUT = {"characters": "characters 3-5", "words": "words", "sudachi": "Japanese words"}


class Text:
    """A fitted extractor of texts: the terms with their weights, and the components of the SVD."""

    def __init__(
        self,
        tokenizer: str,
        terms: Sequence[str],
        weights: Sequence[float],
        components: NDArray[np.float64],
        variance: float,
    ) -> None:
        import numpy as np

        self.tokenizer = tokenizer
        self.terms = list(terms)
        self.weights = np.asarray(weights, np.float64)
        self.components = components  # a row for each term
        self.variance = variance  # the share of the texts' variance that the vectors keep
        self._tokens = find_tokenizer(tokenizer)
        self._position = {term: position for position, term in enumerate(self.terms)}

    def __str__(self) -> str:
        return (
            f"{_CUT[self.tokenizer]} -> {self.components.shape[1]} of {len(self.terms):,} "
            f"dimensions, {100 * self.variance:.0f} % of variance"
        )

    def extract(self, rows: list[dict[str, Any]]) -> list[list[float] | None]:
        """Return the vector of each row's texts; None for a row without any text."""
        return [self._vector(text_of(row)) for row in rows]

    def _vector(self, text: str) -> list[float] | None:
        """Return the vector of a text, all 0 if no term of it is known; None of an empty one."""
        import numpy as np

        if not text.strip():
            return None
        counts = Counter(self._tokens(text))
        occurrences = {self._position[t]: n for t, n in counts.items() if t in self._position}
        if not occurrences:
            return [0.0] * self.components.shape[1]
        positions = np.fromiter(occurrences, np.int64, len(occurrences))
        weights = term_weights(occurrences.values()) * self.weights[positions]
        vector: list[float] = (
            (weights / np.linalg.norm(weights)) @ self.components[positions]
        ).tolist()
        return vector

    def save(self, folder: Path) -> None:
        """Write the terms as JSON and the components as a plain array of NumPy's."""
        import numpy as np

        about = {
            "tokenizer": self.tokenizer,
            "variance": self.variance,
            "terms": self.terms,
            "weights": self.weights.tolist(),
        }
        text = json.dumps(about, ensure_ascii=False, allow_nan=False)
        (folder / "text.json").write_text(text + "\n", encoding="utf-8")
        np.save(folder / "components.npy", self.components, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Text:
        """Read what `save` wrote."""
        import numpy as np

        about = json.loads((folder / "text.json").read_text(encoding="utf-8"))
        return cls(
            about["tokenizer"],
            about["terms"],
            about["weights"],
            np.load(folder / "components.npy", allow_pickle=False),
            about["variance"],
        )


def text_of(row: Mapping[str, Any]) -> str:
    """Return a row's texts as one, each on a line; what is null is left out."""
    return "\n".join(str(value) for value in row.values() if value is not None)


def term_weights(counts: Any) -> NDArray[np.float64]:
    """Return 1 + log(n) for each count of a term within a text."""
    import numpy as np

    return 1.0 + np.log(np.fromiter(counts, np.float64))


def text(
    rows: list[dict[str, Any]],
    *,
    dimensions: int = 16,
    tokenizer: str = "characters",
    terms: int = 50_000,
) -> Text:
    """Fit an extractor on a project's texts.

    Args:
        rows: The texts, by attribute.
        dimensions: The length of a vector.
        tokenizer: What a text is cut into: characters, words or sudachi.
        terms: The most terms that are weighed.

    Raises:
        Invalid: there are too few texts or terms for so many dimensions.
        MissingDependency: scikit-learn, or SudachiPy for its tokenizer, is not installed.
    """
    import numpy as np

    try:
        from scipy.sparse import csr_matrix
        from sklearn.decomposition import TruncatedSVD
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "isthmus.text is fitted by scikit-learn, which is not installed",
            remedy='pip install "isthmus[text]"',
        ) from error
    cut = find_tokenizer(tokenizer)
    counts = [counted for row in rows if (counted := Counter(cut(text_of(row))))]
    frequencies = Counter(term for counted in counts for term in counted)
    ordered = sorted(frequencies, key=lambda term: (-frequencies[term], term))
    shared = [term for term in ordered if frequencies[term] > 1]
    vocabulary = (shared if len(shared) > dimensions else ordered)[:terms]
    if (size := min(len(counts), len(vocabulary))) <= dimensions:
        raise Invalid(
            f"{len(counts):,} texts with {len(vocabulary):,} terms are too few for {dimensions} "
            "dimensions",
            remedy=f"write parameters: {{dimensions: {max(1, size - 1)}}} or fewer, or wait for "
            "more texts",
        )
    position = {term: index for index, term in enumerate(vocabulary)}
    weights = [math.log((1 + len(counts)) / (1 + frequencies[term])) + 1 for term in vocabulary]
    starts, columns = [0], list[int]()
    values: list[NDArray[np.float64]] = []
    for counted in counts:
        occurrences = {position[term]: n for term, n in counted.items() if term in position}
        columns.extend(occurrences)
        starts.append(len(columns))
        if occurrences:
            weighed = term_weights(occurrences.values()) * np.take(weights, list(occurrences))
            values.append(weighed / np.linalg.norm(weighed))
    matrix = csr_matrix(
        (np.concatenate(values), columns, starts), shape=(len(counts), len(vocabulary))
    )
    with np.errstate(all="ignore"):  # texts that are all alike have no variance
        fitted: Any = TruncatedSVD(n_components=dimensions, random_state=0).fit(matrix)
    return Text(
        tokenizer,
        vocabulary,
        weights,
        np.ascontiguousarray(fitted.components_.T),
        float(np.nan_to_num(fitted.explained_variance_ratio_).sum()),
    )
