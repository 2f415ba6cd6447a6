"""Step 2: one query per training question wanted, from the student's bad cases and a pool of images."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
from pydantic import Field

from dataengine_lib import PROJECT_ROOT
from dataengine_lib.data.bad_cases import BadCase, read_bad_cases
from dataengine_lib.data.categories import read_categories
from dataengine_lib.data.evaluation_images import read_image_refs
from dataengine_lib.data.files import write_json
from dataengine_lib.data.image_refs import ImageRef, locate_all
from dataengine_lib.data.pool_source import read_pool
from dataengine_lib.data.query_prompt import load_template
from dataengine_lib.data.records import Query
from dataengine_lib.data.sampling import (
    Draft,
    Neighbours,
    Pick,
    draw_drafts,
    pick_images,
)
from dataengine_lib.data.weights import read_weights
from dataengine_lib.models.neighbours import QueryPool, open_search
from dataengine_lib.steps.config import StepConfig

NO_CASES = "no bad cases of this type; its turns went to the other types"
POOL_EMPTY = "no unused image left in the pool"
_PREVIEWS, _PREVIEW_NEIGHBOURS = 6, 5


class ConstructQueriesConfig(StepConfig):
    """Parameters of `2_construct_queries`."""

    input: Path  # bad cases by type, of step 1
    coco_dataset: Path  # image pool: a COCO or Visual Genome folder, or images with captions
    coco_embedding: Path  # the pool's embedding store; made or completed here when it is not up to date
    output: Path  # gptvqa_prompt.json
    weight: Path | None = None  # type weights of step 1; without it all types weigh the same
    bad_case_image_root: Path | None = (
        None  # images of bad cases and evaluation questions; default: coco_dataset
    )
    questions: Path | None = None  # evaluation questions, whose images must not be trained on
    encoder: str  # clip:ViT-B/32, or a transformers CLIP/SigLIP name or folder
    maxnum: int = Field(6000, ge=0)  # queries to write
    topk: int = Field(1000, ge=1)  # neighbours to draw from
    neighbour_share: float = Field(
        0.5, ge=0, le=1
    )  # share of queries that take a neighbour of the bad case's image
    examples: int = Field(2, ge=1)  # bad cases shown in each prompt
    template: Path = PROJECT_ROOT / "params/prompts/v1.j2"
    categories: Path = PROJECT_ROOT / "params/categories/v1.yaml"
    exclude_queries: list[Path] = Field(default_factory=list)  # gptvqa_prompt.json of earlier rounds
    min_side: int = Field(0, ge=0)  # pixels of a pool image's shorter side
    min_captions: int = Field(1, ge=0)  # captions of a pool image
    near_duplicate: float | None = Field(
        0.98, gt=0, le=1
    )  # cosine from which a pool image counts as an evaluation image
    batch_size: int = Field(64, ge=1)
    device: str = "auto"
    seed: int = 0


class TypeShare(msgspec.Struct):
    """One type's line in `sampling.json` and in the notebook: how often it was drawn, and what became of it.

    `weight_share` is of all weights, `drawn_share` of all queries; `fallbacks` counts by reason the queries that
    should have had a neighbour and got a random image.
    """

    weight: float
    weight_share: float
    asked: int
    filled: int
    drawn_share: float
    neighbours: int
    fallbacks: dict[str, int]
    why_not: str


@dataclass
class Preview:
    """A query and what led to it: the bad case's image, and that image's nearest pool images with similarity."""

    query: Query
    anchor: Path
    image: Path
    neighbours: list[tuple[Path, float]]


@dataclass
class ConstructQueriesResult:
    """What notebook 2 shows; every query's image is under `image_root`."""

    image_root: Path
    queries: list[Query]
    shares: dict[str, TypeShare]
    preview: list[Preview]
    pool: int  # images in the pool's folder
    eligible: int  # of these, images that could carry a query
    left_out: dict[str, int]  # the others by reason
    unreadable: list[
        str
    ]  # images of the pool, the bad cases and the questions that were not found or not readable


@dataclass
class _Anchors:
    """Where the bad cases' images are, and the pool images near them."""

    paths: dict[ImageRef, str]
    missing: dict[ImageRef, str]
    near: dict[str, Neighbours]

    def of(self, case: BadCase) -> Neighbours:
        """The neighbours of a bad case's image, or the reason why there are none."""
        path = self.paths.get(case.image)
        if path in self.near:
            return self.near[path]
        return Neighbours.none(
            "the bad case's image was not found" if path is None else "the bad case's image cannot be read"
        )


def construct_queries(config: ConstructQueriesConfig) -> ConstructQueriesResult:
    """Draw types by weight, then examples, then images; render the prompts; write `output` and `sampling.json`.

    Sampling rules: MLLM-DataEngine's adaptive bad-case sampling, see `data/sampling.py`. When images or bad cases run
    out, what there is is written and `sampling.json` says what was not filled and why. Same files and seed, same bytes.
    """
    cases = read_bad_cases(config.input)
    categories = read_categories(config.categories)
    types = list(dict.fromkeys([*categories.names, *cases]))
    weights = read_weights(config.weight, types)
    render = load_template(config.template)
    images = read_pool(config.coco_dataset, min_side=config.min_side, min_captions=config.min_captions)
    pool = QueryPool(images, config.bad_case_image_root or config.coco_dataset)
    rng = Random(config.seed)
    counts = {kind: len(cases.get(kind, [])) for kind in types}
    drafts, asked = draw_drafts(
        weights,
        counts,
        config.maxnum,
        examples=config.examples,
        neighbour_share=config.neighbour_share,
        rng=rng,
    )
    shown = [[cases[draft.question_type][i] for i in draft.examples] for draft in drafts]
    anchors = _search(
        config, pool, cases, [few[0] for draft, few in zip(drafts, shown, strict=True) if draft.neighbour]
    )
    near = [anchors.of(few[0]) if draft.neighbour else None for draft, few in zip(drafts, shown, strict=True)]
    eligible = int(pool.free.sum())
    picks = pick_images(drafts, near, pool.free, rng)
    queries = []
    for draft, few, pick in zip(drafts, shown, picks, strict=False):  # picks end where the pool is used up
        image = pool.images[pick.row]
        definition = categories.definition(draft.question_type)
        prompt = render(draft.question_type, definition, [case.example for case in few], image)
        anchor = anchors.paths.get(few[0].image, few[0].image.image_path)
        queries.append(
            Query(
                image_id=image.id,
                prompt=prompt,
                question_type=draft.question_type,
                query_id="r-" + _sha(f"{image.id}\n{draft.question_type}\n{prompt}")[:16],
                image_path=image.path,
                anchor_image_id=few[0].image.image_id,
                anchor_image_path=anchor,
                example_ids=[case.key for case in few],
                neighbour=pick.neighbour,
                similarity=None if pick.similarity is None else round(pick.similarity, 4),
                template=config.template.name,
                prompt_sha256=_sha(prompt),
            )
        )
    shares = _shares(weights, counts, asked, drafts, picks)
    write_json(config.output, queries)
    write_json(config.output.with_name("sampling.json"), shares)
    return ConstructQueriesResult(
        image_root=config.coco_dataset,
        queries=queries,
        shares=shares,
        preview=_previews(pool, queries, picks, near, weights),
        pool=len(pool.images),
        eligible=eligible,
        left_out=dict(pool.left_out),
        unreadable=[*sorted(set(anchors.missing.values())), *pool.unreadable],
    )


def _search(
    config: ConstructQueriesConfig, pool: QueryPool, cases: dict[str, list[BadCase]], anchors: list[BadCase]
) -> _Anchors:
    """Leave out what must not be asked about, embed what is needed and find the anchors' neighbours."""
    refs = [case.image for part in cases.values() for case in part]
    if config.questions:
        refs += read_image_refs(config.questions, pool.evaluation_root)
    refs = list(dict.fromkeys(refs))
    paths, missing = locate_all(refs, pool.find)
    pool.leave_out_evaluation(refs, paths)
    pool.leave_out_queries(config.exclude_queries)
    used = {case.image for case in anchors}
    wanted = [
        (ref.image_id, path)
        for ref, path in paths.items()
        if ref in used or config.near_duplicate is not None
    ]
    near: dict[str, Neighbours] = {}
    if wanted:
        from dataengine_lib.models.encoder import load_encoder

        encoder = load_encoder(config.encoder, config.device)
        search = open_search(pool, wanted, encoder, config.coco_embedding, config.batch_size)
        if config.near_duplicate is not None:
            search.leave_out_near_duplicates(config.near_duplicate)
        near = search.neighbours((paths[ref] for ref in used if ref in paths), config.topk)
    return _Anchors(paths, missing, near)


def _shares(
    weights: dict[str, float],
    counts: dict[str, int],
    asked: dict[str, int],
    drafts: list[Draft],
    picks: list[Pick],
) -> dict[str, TypeShare]:
    total = sum(weights.values())
    shares = {}
    for kind, weight in weights.items():
        mine = [pick for draft, pick in zip(drafts, picks, strict=False) if draft.question_type == kind]
        why = NO_CASES if weight > 0 and not counts[kind] else POOL_EMPTY if len(mine) < asked[kind] else ""
        shares[kind] = TypeShare(
            weight=weight,
            weight_share=round(weight / total, 4) if total else 0.0,
            asked=asked[kind],
            filled=len(mine),
            drawn_share=round(len(mine) / len(picks), 4) if picks else 0.0,
            neighbours=sum(pick.neighbour for pick in mine),
            fallbacks=dict(sorted(Counter(pick.fallback for pick in mine if pick.fallback).items())),
            why_not=why,
        )
    return shares


def _previews(
    pool: QueryPool,
    queries: list[Query],
    picks: list[Pick],
    near: list[Neighbours | None],
    weights: dict[str, float],
) -> list[Preview]:
    """The first neighbour query of the heaviest types."""
    first: dict[str, Preview] = {}
    root = pool.coco.root
    for query, pick, found in zip(queries, picks, near, strict=False):
        if pick.neighbour and found is not None and query.question_type not in first:
            allowed = pool.free[found.rows]  # the anchor itself, and other scored images, are not to be drawn
            pairs = zip(found.rows[allowed], found.similarities[allowed], strict=True)
            closest = list(pairs)[:_PREVIEW_NEIGHBOURS]
            first[query.question_type] = Preview(
                query=query,
                anchor=pool.evaluation_root / query.anchor_image_path,
                image=root / query.image_path,
                neighbours=[(root / pool.images[row].path, float(similarity)) for row, similarity in closest],
            )
    return sorted(first.values(), key=lambda preview: -weights[preview.query.question_type])[:_PREVIEWS]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
