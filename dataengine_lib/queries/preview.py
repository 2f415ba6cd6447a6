"""Step 2's preview: queries with what led to them, a bad case's image and the pool images most like it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.records import Query
from dataengine_lib.queries.image_search import QueryPool
from dataengine_lib.queries.sampling import Neighbours

MOST = 6  # queries shown
_NEIGHBOURS = 5


@dataclass
class Preview:
    """A query and what led to it: the bad case's image, and that image's nearest pool images with similarity.

    `written` is False for a query that was made to be shown, of a type of which none was drawn.
    """

    query: Query
    anchor: Path
    image: Path
    neighbours: list[tuple[Path, float]]
    written: bool = True


def preview(pool: QueryPool, query: Query, near: Neighbours, *, written: bool = True) -> Preview:
    """A query with its anchor's neighbours; of these only images that may be drawn, so neither scored nor used."""
    root = pool.coco.root
    allowed = pool.free[near.rows]
    closest = list(zip(near.rows[allowed], near.similarities[allowed], strict=True))[:_NEIGHBOURS]
    return Preview(
        query=query,
        anchor=pool.evaluation_root / query.anchor_image_path,
        image=root / query.image_path,
        neighbours=[(root / pool.images[row].path, float(similarity)) for row, similarity in closest],
        written=written,
    )


def heaviest(queries: Iterable[Query], weights: Mapping[str, float]) -> list[Query]:
    """One query of each of the heaviest types, about a neighbour where there is such a query."""
    first: dict[str, Query] = {}
    for query in _neighbours_first(queries):
        first.setdefault(query.question_type, query)
    return sorted(first.values(), key=lambda query: -weights[query.question_type])[:MOST]


def of_type(queries: Iterable[Query], question_type: str) -> list[Query]:
    """Queries of one type from different bad cases, those about a neighbour first."""
    first: dict[str, Query] = {}
    for query in _neighbours_first(queries):
        if query.question_type == question_type:
            first.setdefault(query.example_ids[0], query)
    return list(first.values())[:MOST]


def _neighbours_first(queries: Iterable[Query]) -> Sequence[Query]:
    return sorted(queries, key=lambda query: not query.neighbour)
