"""Step 2: one query per training question wanted, from the student's bad cases and a pool of images."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from dataengine_lib import PROJECT_ROOT
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Query
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.embeddings.lazy_encoder import LateEncoder
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import ImageRef, locate_all
from dataengine_lib.queries import preview as query_preview
from dataengine_lib.queries.bad_cases import BadCase, read_bad_cases
from dataengine_lib.queries.image_search import QueryPool, open_search
from dataengine_lib.queries.preview import Preview, preview
from dataengine_lib.queries.prompt import QueryPrompt, load_template, template_file
from dataengine_lib.queries.sampling import Neighbours, Pick, draw_drafts, in_blocks, pick_images
from dataengine_lib.queries.type_shares import TypeShare, type_shares
from dataengine_lib.questions.categories import CategorySet, known_type, read_categories
from dataengine_lib.questions.evaluation_images import read_image_refs


class ConstructQueriesConfig(StepConfig):
    """Parameters of `2_construct_queries`."""

    input: Path
    """Bad cases by type, of step 1."""
    coco_dataset: Path
    """Image pool: a COCO or Visual Genome folder, or images with captions."""
    coco_embedding: Path
    """The pool's embedding store; made or completed here when it is not up to date."""
    output: Path
    """gptvqa_prompt.json."""
    weight: Path | None = None
    """Type weights of step 1; without it all types weigh the same."""
    bad_case_image_root: Path | None = None
    """Images of bad cases and evaluation questions; default: coco_dataset."""
    questions: Path | None = None
    """Evaluation questions, whose images must not be trained on."""
    encoder: str
    """clip:ViT-B/32, or a transformers CLIP/SigLIP name or folder."""
    maxnum: int = Field(6000, ge=0)
    """Queries to write."""
    targets: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Queries of a type, set by hand; the other types share the rest of maxnum by weight."""
    topk: int = Field(1000, ge=1)
    """Neighbours to draw from."""
    neighbour_share: float = Field(0.5, ge=0, le=1)
    """Share of queries that take a neighbour of the bad case's image."""
    examples: int = Field(2, ge=1)
    """Bad cases shown in each prompt; MLLM-DataEngine v1 showed 2, v2 10."""
    template: Path = PROJECT_ROOT / "params/prompts/v1.j2"
    """V1, v2, vision or a file."""
    max_prompt_tokens: int | None = Field(None, ge=1)
    """Of a prompt's text; captions go, the last first, until it fits."""
    categories: Path = PROJECT_ROOT / "params/categories/v1.yaml"
    exclude_queries: list[Path] = Field(default_factory=list)
    """gptvqa_prompt.json of earlier rounds."""
    min_side: int = Field(0, ge=0)
    """Pixels of a pool image's shorter side."""
    min_captions: int = Field(1, ge=0)
    """Captions of a pool image."""
    near_duplicate: float | None = Field(0.98, gt=0, le=1)
    """Cosine from which a pool image counts as an evaluation image."""
    batch_size: int = Field(64, ge=1)
    device: str = "auto"
    seed: int = 0
    round: int = Field(0, ge=0)
    """Of the loop, written into every query; 0 where the step is run by itself."""
    preview_type: str = ""
    """Question type of the sample queries shown; empty: the heaviest types."""

    @field_validator("template", mode="before")
    @classmethod
    def _by_name(cls, value: str | Path) -> str | Path:
        return template_file(value) if isinstance(value, str) else value

    @field_validator("targets")
    @classmethod
    def _within_maxnum(cls, targets: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        maxnum = info.data.get("maxnum")  # not there when it is wrong itself
        if maxnum is not None and sum(targets.values()) > maxnum:
            raise ValueError(
                f"{sum(targets.values())} queries in all, more than maxnum {maxnum}; raise maxnum or lower one"
            )
        return targets


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
    """Draw types by weight or target, then examples, then images; write prompts to `output`, and `sampling.json`.

    Sampling rules: MLLM-DataEngine's adaptive bad-case sampling, see `queries/sampling.py`. When images or bad cases run
    out, what there is is written and `sampling.json` says what was not filled and why. Same files and seed, same bytes.
    Raises ParameterError for a target or preview type that is none of the categories' or the bad cases'.
    """
    cases = read_bad_cases(config.input)
    categories = read_categories(config.categories)
    types = list(dict.fromkeys([*categories.names, *cases]))
    targets = {known_type(name, types, "targets"): number for name, number in config.targets.items()}
    shown_type = known_type(config.preview_type, types, "preview_type") if config.preview_type else ""
    weights = read_weights(config.weight, types)
    template = load_template(config.template)
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
        targets=targets,
    )
    shown = [[cases[draft.question_type][place] for place in draft.examples] for draft in drafts]
    first = [
        few[0]
        for draft, few in zip(drafts, shown, strict=True)
        if draft.neighbour or draft.question_type == shown_type
    ]
    to_show = cases.get(shown_type, [])[: query_preview.MOST]
    anchors = _search(config, pool, cases, [*first, *to_show])
    near = [anchors.of(few[0]) if draft.neighbour else None for draft, few in zip(drafts, shown, strict=True)]
    eligible = int(pool.free.sum())
    writer = _Writer(template, categories, config, pool, anchors)
    prompts: dict[int, str | None] = {}

    def fits(place: int, row: int) -> bool:
        prompts[place] = writer.prompt(drafts[place].question_type, shown[place], row)
        return prompts[place] is not None

    picks = pick_images(drafts, near, pool.free, rng, fits)
    too_long = {place for place, prompt in prompts.items() if prompt is None}
    queries = in_blocks(
        [
            writer.query(drafts[pick.draft].question_type, shown[pick.draft], pick, prompts[pick.draft] or "")
            for pick in picks
        ]
    )
    shares = type_shares(weights, targets, config.maxnum, counts, asked, drafts, picks, too_long)
    write_json(config.output, queries)
    write_json(config.output.with_name("sampling.json"), shares)
    return ConstructQueriesResult(
        image_root=config.coco_dataset,
        queries=queries,
        shares=shares,
        preview=_previews(writer, queries, weights, shown_type, to_show),
        pool=len(pool.images),
        eligible=eligible,
        left_out=dict(pool.left_out),
        unreadable=[*sorted(set(anchors.missing.values())), *pool.unreadable],
    )


@dataclass
class _Writer:
    """Makes queries of bad cases and pool images."""

    template: QueryPrompt
    categories: CategorySet
    config: ConstructQueriesConfig
    pool: QueryPool
    anchors: _Anchors

    def prompt(self, kind: str, few: Sequence[BadCase], row: int) -> str | None:
        """The prompt about the pool image of that row, None when it is too long."""
        examples = [case.example for case in few]
        definition = self.categories.definition(kind)
        image, most = self.pool.images[row], self.config.max_prompt_tokens
        return self.template.render(kind, definition, examples, image, most)

    def query(self, kind: str, few: Sequence[BadCase], pick: Pick, prompt: str) -> Query:
        """The row of `gptvqa_prompt.json`."""
        image_id, anchor = int(self.pool.images.ids[pick.row]), few[0].image
        return Query(
            image_id=image_id,
            prompt=prompt,
            question_type=kind,
            query_id="r-" + _sha(f"{image_id}\n{kind}\n{prompt}")[:16],
            image_path=self.pool.images.paths[pick.row],
            anchor_image_id=anchor.image_id,
            anchor_image_path=self.anchors.paths.get(anchor, anchor.image_path),
            example_ids=[case.key for case in few],
            neighbour=pick.neighbour,
            similarity=None if pick.similarity is None else round(pick.similarity, 4),
            template=self.template.file.name,
            prompt_sha256=_sha(prompt),
            attach_image=self.template.attach_image,
            round=self.config.round,
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
        encoder = LateEncoder(config.encoder, config.device)
        search = open_search(pool, wanted, encoder, config.coco_embedding, config.batch_size)
        if config.near_duplicate is not None:
            search.leave_out_near_duplicates(config.near_duplicate)
        near = search.neighbours((paths[ref] for ref in used if ref in paths), config.topk)
    return _Anchors(paths, missing, near)


def _previews(
    writer: _Writer,
    queries: list[Query],
    weights: dict[str, float],
    shown_type: str,
    to_show: list[BadCase],
) -> list[Preview]:
    """Queries of `shown_type`, made of `to_show` where none was drawn; without a type one of each heavy type."""
    of_type = query_preview.of_type(queries, shown_type)
    chosen = of_type if shown_type else query_preview.heaviest(queries, weights)
    near = writer.anchors.near
    shown = [
        preview(writer.pool, query, near.get(query.anchor_image_path, Neighbours.none("")))
        for query in chosen
    ]
    if shown or not writer.pool.free.any():
        return shown
    for case in to_show:
        found = writer.anchors.of(case)
        allowed = found.rows[writer.pool.free[found.rows]]
        row = int(allowed[0]) if len(allowed) else int(writer.pool.free.argmax())
        few = [case, *(other for other in to_show if other is not case)][: writer.config.examples]
        if (prompt := writer.prompt(shown_type, few, row)) is not None:
            query = writer.query(shown_type, few, Pick(-1, row, bool(len(allowed))), prompt)
            shown.append(preview(writer.pool, query, found, written=False))
    return shown


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
