"""Step 2: bad cases of a type as vectors, in a space that later rounds can compute once more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataengine_lib.core.text import key_words
from dataengine_lib.queries.bad_cases import BadCase

TEXT_FEATURES = 512  # hashed words: 40 MB for 20,000 cases
DECIMALS = 4  # of all numbers that are kept in a file, so that later rounds compute with the same ones


def case_words(case: BadCase) -> list[str]:
    """The words of a case: those of its question, of the student's answer and of the right one, which are kept apart.

    A case that has only its text as the teacher sees it gives the words of that text.
    """
    return [
        *key_words(case.asked),
        *(f"answer {word}" for word in key_words(case.answer)),
        *(f"right {word}" for word in key_words(case.right)),
    ]


@dataclass(frozen=True)
class CaseSpace:
    """The weights `(TEXT_FEATURES,)` of hashed words: how rare they were among the cases of the first round."""

    idf: np.ndarray

    @classmethod
    def fit(cls, cases: Sequence[BadCase]) -> "CaseSpace":
        """The space in which a type's cases are compared."""
        counts = _hashed(cases)
        seen = np.bincount(counts.indices, minlength=TEXT_FEATURES)
        # as in sklearn.feature_extraction.text.TfidfTransformer, with smoothing
        return cls(np.round(np.log((1 + len(cases)) / (1 + seen)) + 1, DECIMALS).astype(np.float32))

    def vectors(self, cases: Sequence[BadCase], images: np.ndarray) -> np.ndarray:
        """`(n, TEXT_FEATURES + e)` float32: the text's words (TF-IDF), and the image's embedding, both of unit length.

        `images` are `(n, e)` of unit length; those of zeros, for images without a vector, stay zeros.
        """
        words = _hashed(cases).toarray().astype(np.float32) * self.idf
        lengths = np.linalg.norm(words, axis=1, keepdims=True)
        np.divide(words, lengths, out=words, where=lengths > 0)
        return np.hstack([words, images.astype(np.float32)])


def _hashed(cases: Sequence[BadCase]):  # type: ignore[no-untyped-def]  # scipy's matrices have no types
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=case_words, n_features=TEXT_FEATURES, norm=None, alternate_sign=False
    )
    return hashing.transform(cases)
