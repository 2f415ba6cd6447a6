"""Step 2: sample queries for the notebook, each with its bad case's image and the pool images most like it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.records import Query
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.queries.query_writer import QueryWriter
from dataengine_lib.queries.sampling import Neighbours, Pick

MAX_PREVIEWS = 6  # queries shown in the notebook
_MAX_NEIGHBOURS = 5  # images shown beside each of them


@dataclass
class Preview:
    """A query and what led to it: the bad case's image, and that image's nearest pool images with cosine.

    `written` is False for a query that is only shown: of a type for which no query was drawn.
    """

    query: Query
    anchor: Path
    image: Path
    neighbours: list[tuple[Path, float]]
    written: bool = True


def make_previews(
    writer: QueryWriter,
    queries: Sequence[Query],
    weights: Mapping[str, float],
    question_type: str,
    cases: Sequence[BadCase],
    examples: int,
) -> list[Preview]:
    """Up to MAX_PREVIEWS queries of `question_type`; without a type, one query of each of the heaviest types.

    Where no query of the type was drawn, a query is made from each of `cases` with up to `examples` of them as
    examples; these are shown only.
    """
    chosen = _of_type(queries, question_type) if question_type else _of_heaviest_types(queries, weights)
    near = writer.anchors.near
    shown = [
        _preview(writer.pool, query, near.get(query.anchor_image_path, Neighbours.none("")))
        for query in chosen
    ]
    free = writer.pool.free
    if shown or not free.any():
        return shown
    for case in cases:
        found = writer.anchors.neighbours_of(case)
        allowed = found.rows[free[found.rows]]
        # the nearest image that could be drawn, else the first free one of the pool (argmax of a mask)
        row = int(allowed[0]) if len(allowed) else int(free.argmax())
        shown_cases = [case, *(other for other in cases if other is not case)][:examples]
        if (prompt := writer.prompt(question_type, shown_cases, row)) is not None:
            pick = Pick(-1, row, bool(len(allowed)))
            query = writer.query(question_type, shown_cases, pick, prompt)
            shown.append(_preview(writer.pool, query, found, written=False))
    return shown


def with_other_queries(
    previews: Sequence[Preview], queries: Iterable[Query], images: Path, evaluation_images: Path
) -> list[Preview]:
    """The previews, then all other queries without neighbours; `images` and `evaluation_images` are the image roots."""
    shown = {preview.query.query_id for preview in previews}
    others = (query for query in queries if query.query_id not in shown)
    return [
        *previews,
        *(
            Preview(query, evaluation_images / query.anchor_image_path, images / query.image_path, [])
            for query in others
        ),
    ]


def _preview(pool: QueryPool, query: Query, near: Neighbours, *, written: bool = True) -> Preview:
    """A query with those of its anchor's neighbours that may be drawn: neither evaluation images nor used before."""
    root = pool.images.root
    allowed = pool.free[near.rows]
    closest = list(zip(near.rows[allowed], near.similarities[allowed], strict=True))[:_MAX_NEIGHBOURS]
    return Preview(
        query=query,
        anchor=pool.evaluation_root / query.anchor_image_path,
        image=root / query.image_path,
        neighbours=[(root / pool.images[row].path, float(similarity)) for row, similarity in closest],
        written=written,
    )


def _of_heaviest_types(queries: Iterable[Query], weights: Mapping[str, float]) -> list[Query]:
    """One query of each of the heaviest types, about a neighbour where there is such a query."""
    first: dict[str, Query] = {}
    for query in _neighbours_first(queries):
        first.setdefault(query.question_type, query)
    return sorted(first.values(), key=lambda query: -weights[query.question_type])[:MAX_PREVIEWS]


def _of_type(queries: Iterable[Query], question_type: str) -> list[Query]:
    """Queries of one type from different bad cases, those about a neighbour first."""
    first: dict[str, Query] = {}
    for query in _neighbours_first(queries):
        if query.question_type == question_type:
            first.setdefault(query.example_ids[0], query)
    return list(first.values())[:MAX_PREVIEWS]


def _neighbours_first(queries: Iterable[Query]) -> list[Query]:
    # False sorts before True; otherwise the order stays
    return sorted(queries, key=lambda query: not query.neighbour)
