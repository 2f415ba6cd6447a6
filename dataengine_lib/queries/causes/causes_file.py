"""Step 2: `causes.json`, the causes of each type, how many bad cases and queries each has, and how cases are assigned."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.causes.features import TEXT_FEATURES
from dataengine_lib.queries.causes.naming import cause_name

CAUSES_FILE = "causes.json"


class Cause(msgspec.Struct):
    """A cause of one type: `cases` of this round's bad cases have it, `queries` ask about it.

    `case_ids` are the keys of its cases, the most typical first. `by_round` counts its cases in each round so far, this one
    included, but none in which not every case of its type was assigned; the key is the round's number.
    """

    name: str
    cases: int = 0
    queries: int = 0
    case_ids: list[str] = []
    by_round: dict[int, int] = {}


class TypeCauses(msgspec.Struct):
    """The causes of one type; a single one, without a name, is the type as a whole.

    `silhouette` and `reference` say how well the groups separate, see `Clusters`. `idf` and `centroids` assign the cases of
    later rounds; they are empty where a teacher assigns them.
    """

    causes: list[Cause]
    silhouette: float = 0.0
    reference: float = 0.0
    idf: list[float] = []
    centroids: list[list[float]] = []


class CausesFile(msgspec.Struct):
    """The content of `causes.json`; `method` is cluster or teacher, `encoder` the one whose vectors were compared.

    `usage` is what the replies of this round's teacher took.
    """

    method: str
    encoder: str
    types: dict[str, TypeCauses]
    usage: StudentUsage | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class FoundCauses:
    """Causes and, by type, the places of each cause's cases in the list of the type's bad cases, most typical first."""

    file: CausesFile
    members: dict[str, list[list[int]]]

    def count_queries(self, queries: Sequence[Query]) -> None:
        """Write into the causes how many of `queries` ask about each."""
        asked = Counter((query.question_type, query.cause or "") for query in queries)
        for question_type, of_type in self.file.types.items():
            for cause in of_type.causes:
                cause.queries = asked[question_type, cause.name]

    def groups(self, question_type: str, kinds: Sequence[str]) -> list[str]:
        """The cause and the answer kind of each case of a type, whose kinds are `kinds`, as one text."""
        found = list(kinds)
        members = self.members[question_type]
        for number, places in enumerate(members if len(members) > 1 else []):
            for place in places:
                found[place] = f"{kinds[place]} {number}"
        return found


def read_causes(file: Path, method: str, encoder: str, vector_size: int, round_: int = 0) -> CausesFile:
    """The causes of an earlier round, by which this round's cases are assigned.

    `vector_size` is that of the cases' vectors, 0 where none are compared; `round_` is this round, 0 where it is not known.
    Raises DataEngineError when the file cannot be read, was made by another method or encoder, or is of no earlier round.
    """
    found: CausesFile = read_json(file, CausesFile)
    for what, given, wanted in (("causes", found.method, method), ("encoder", found.encoder, encoder)):
        if given != wanted:
            raise DataEngineError(
                f"{file}: made with {what} {shown(given)}, not {shown(wanted)}; set {what} as in that round, or leave "
                "earlier_causes out"
            )
    latest = max(
        (n for one in found.types.values() for cause in one.causes for n in cause.by_round), default=0
    )
    if round_ and latest >= round_:
        raise DataEngineError(
            f"{file}: has bad cases of round {latest}, and this is round {round_}; give the file of an earlier round, "
            "or leave earlier_causes out"
        )
    for name, of_type in found.types.items():
        for cause in of_type.causes:
            cause.name = cause_name(cause.name)  # of a file that may have been changed: one line in a prompt
        sizes = {len(centroid) for centroid in of_type.centroids}
        if not of_type.causes or (
            vector_size
            and (
                sizes != {vector_size}
                or len(of_type.centroids) != len(of_type.causes)
                or len(of_type.idf) != TEXT_FEATURES
            )
        ):
            raise DataEngineError(
                f"{file}: {shown(name)} has no centroid of {vector_size} numbers for each cause; make the file once more"
            )
    return found
