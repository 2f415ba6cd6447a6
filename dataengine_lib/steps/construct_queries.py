"""Step 2: one query per training question wanted, from the student's bad cases and a pool of images."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationInfo, field_validator

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import ImageId, Query
from dataengine_lib.images.pool import ImagePool, NamedBox
from dataengine_lib.queries.answer_kinds import with_one_kind
from dataengine_lib.queries.causes.causes_file import CAUSES_FILE, FoundCauses, TypeCauses
from dataengine_lib.queries.causes.find_causes import CauseSettings
from dataengine_lib.queries.copy_check import CopyCheck
from dataengine_lib.queries.examples.example_choice import ExampleChoice
from dataengine_lib.queries.examples.shown_cases import ShownCases, anchors_needed, cases_shown
from dataengine_lib.queries.image_search import ImageSearch
from dataengine_lib.queries.pool_parameters import PoolParameters
from dataengine_lib.queries.preview import Preview, make_previews, with_other_queries
from dataengine_lib.queries.query_writer import QueryWriter
from dataengine_lib.queries.sampling import draw_drafts, order_in_blocks
from dataengine_lib.queries.spares import SPARE_FILE, count_spares, draw_spares, spare_warnings, write_spares
from dataengine_lib.queries.type_shares import TypeShare, type_shares
from dataengine_lib.queries.warnings import check_any_case, check_any_query, query_warnings
from dataengine_lib.resources import CATEGORY_SETS, QUERY_PROMPTS
from dataengine_lib.steps.parts.query_causes import find_causes
from dataengine_lib.steps.parts.query_inputs import QueryInputs, read_query_inputs
from dataengine_lib.teachers.causes.settings import CauseParameters
from dataengine_lib.teachers.coverage.coverage import CoveredTeacher

if TYPE_CHECKING:
    import pandas as pd


class ConstructQueriesConfig(PoolParameters, CauseParameters):
    """Parameters of `2_construct_queries`."""

    input: Path
    """Bad cases by type, of step 1."""
    output: Path
    """gptvqa_prompt.json."""
    weight: Path | None = None
    """Type weights: a file as step 1 writes it; null: all types weigh the same. Default in a run: those of step 1."""
    maxnum: int = Field(6000, ge=0)
    """Queries to write."""
    targets: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Queries of a type, set by hand; the other types share the rest of maxnum by weight."""
    served_by: CoveredTeacher | None = None
    """Ask only what this teacher can write: annotations or playground; null: any type, about any image."""
    spare_share: float = Field(0, ge=0)
    """Spare queries of a type, as a share of its queries; step 3 asks one for each reply that skips."""
    neighbour_share: float = Field(1, ge=0, le=1)
    """Share of queries that take a neighbour of the bad case's image; MLLM-DataEngine: 0.5."""
    examples: int = Field(2, ge=1)
    """Bad cases shown in each prompt; MLLM-DataEngine v1 showed 2, v2 10."""
    example_choice: ExampleChoice = "random"
    """Those beside the first: random, nearest to it (image and text), or diverse (typical, but unlike it)."""
    example_decisions: Path | None = None
    """A person's choice of bad cases, {ID: "use" or "never"}; used ones are preferred, the others never shown."""
    template: Annotated[str | Path, QUERY_PROMPTS] = "v1"
    """What the teacher is asked: v1, v2 (with a short answer), vision (with the image) or a file."""
    max_prompt_tokens: int | None = Field(None, ge=1)
    """Most tokens of a prompt's text; the last captions are left out until it fits."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3, mme or a file."""
    seed: int = 0
    round: int = Field(0, ge=0)
    """The loop's round, written into every query; 0 where the step is run by itself."""
    preview_type: str = ""
    """Question type of the sample queries shown; empty: the heaviest types."""

    @field_validator("targets")
    @classmethod
    def _within_maxnum(cls, targets: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        maxnum = info.data.get("maxnum")  # missing when maxnum itself is not valid
        if maxnum is not None and sum(targets.values()) > maxnum:
            raise ValueError(
                f"{sum(targets.values())} queries in all, more than maxnum {maxnum}; raise maxnum or lower one"
            )
        return targets

    @field_validator("example_choice")
    @classmethod
    def _of_several(cls, choice: ExampleChoice, info: ValidationInfo) -> ExampleChoice:
        if choice != "random" and info.data.get("examples") == 1:
            raise ValueError("is about the examples after the first; raise examples, or leave it out")
        return choice


@dataclass
class ConstructQueriesResult:
    """What notebook 2 shows; every query's image is under `image_root`.

    `pool` counts the images in the pool's folder, `eligible` those of them that could carry a query, `left_out` the
    others by reason, and `left_out_rows` the rows of its annotation files that were not used. `unreadable` names images
    of the pool, the bad cases and the questions that were not found or could not be read. `compared` says with what the
    pool's images were compared, so that no evaluation image is trained on.
    """

    image_root: Path
    queries: list[Query]
    shares: dict[str, TypeShare]
    preview: list[Preview]
    pool: int
    eligible: int
    left_out: dict[str, int]
    left_out_rows: dict[str, int]
    unreadable: list[str]
    compared: str
    warnings: list[str] = field(default_factory=list)
    causes: dict[str, TypeCauses] = field(default_factory=dict)  # by type; empty: not looked for
    spares: list[Query] = field(default_factory=list)
    images: ImagePool | None = None  # the pool, for its boxes
    evaluation_root: Path = Path()  # where the anchors' image paths start

    def previews(self) -> list[Preview]:
        """The previews, then every other query without the images most similar to its anchor's."""
        return with_other_queries(self.preview, self.queries, self.image_root, self.evaluation_root)

    def boxes(self, image_id: ImageId) -> list[NamedBox]:
        """The boxes of an image of the pool; none for other images."""
        image = self.images.find(image_id) if self.images else None
        return image.boxes if image else []

    @property
    def queries_frame(self) -> "pd.DataFrame":
        """The queries as a frame, as in `load_run(…).queries`."""
        from dataengine_lib.frames.queries import by_round, queries_frame

        return queries_frame(by_round(self.queries))


def construct_queries(config: ConstructQueriesConfig) -> ConstructQueriesResult:
    """Draw types by weight or target, then examples, then images; write prompts to `output`, and `sampling.json`.

    Sampling rules: MLLM-DataEngine's adaptive bad-case sampling, see `queries/sampling.py`. When images or bad cases
    run out, fewer queries are written and `sampling.json` says how many are missing and why. With `causes`, `causes.json`
    has what was found below the types; with `spare_share`, `gptvqa_spare.json` has queries in place of those that the
    teacher skips. Same files and seed, same bytes. Raises ParameterError for a target or preview type
    that neither the categories nor the bad cases have, and DataEngineError when too many images of the evaluation
    questions are not found (`max_bad_share`).
    """
    inputs = read_query_inputs(
        config,
        config.input,
        weight=config.weight,
        targets=config.targets,
        served_by=config.served_by,
        example_decisions=config.example_decisions,
        template=config.template,
        categories=config.categories,
        preview_type=config.preview_type,
    )
    # one generator for all draws: types and examples first, images after them
    rng = Random(config.seed)
    case_counts = {name: len(inputs.cases.get(name, [])) for name in inputs.types}
    # before the pool's images are embedded, which may take hours
    check_any_case(sum(case_counts.values()), config.maxnum, config.input)
    drafts, asked = draw_drafts(
        inputs.weights,
        case_counts,
        config.maxnum,
        examples=config.examples,
        neighbour_share=config.neighbour_share,
        rng=rng,
        targets=inputs.targets,
    )
    # with a generator of its own, so that a file of one kind is drawn as before
    drafts = with_one_kind(drafts, inputs.cases, Random(f"answer kinds {config.seed}"))
    spare_drafts = draw_spares(
        drafts,
        inputs.cases,
        config.spare_share,
        examples=config.examples,
        neighbour_share=config.neighbour_share,
        seed=config.seed,
    )
    drawn = {draft.question_type: inputs.cases[draft.question_type] for draft in drafts}
    compared = (
        [case for cases in drawn.values() for case in cases] if config.example_choice != "random" else []
    )
    # clusters compare all cases of a type, and by any causes each case may become an anchor
    if config.causes != "none":
        compared = [case for cases in inputs.cases.values() for case in cases]
    needed = anchors_needed([*drafts, *spare_drafts], inputs.cases, inputs.preview_type)
    search = config.image_search(
        inputs.pool,
        # nothing is asked about their images, even where they are no examples
        [*(case for cases in inputs.cases.values() for case in cases), *inputs.not_asked_about],
        [*needed, *inputs.preview_cases, *compared, *inputs.possible_anchors(config.examples)],
        inputs.warnings.append,
    )
    causes = _causes(config, inputs, search)
    shown = ShownCases(
        inputs.cases,
        inputs.decided.used,
        search,
        compared,
        causes,
        config.example_choice,
        config.examples,
        config.min_cause_cases,
        inputs.preview_type,
        config.seed,
    )
    # with a generator of its own, so that images are drawn as without causes
    drafts, anchors = shown.choose(drafts, Random(f"causes {config.seed}"), inputs.preview_cases)
    pool = inputs.pool
    copies = CopyCheck(pool, anchors.paths.values(), config.coco_embedding)
    writer = QueryWriter(
        inputs.template,
        inputs.categories,
        pool,
        anchors,
        copies,
        config.max_prompt_tokens,
        config.round,
        inputs.coverage,
    )
    written = writer.write(drafts, cases_shown(drafts, inputs.cases), rng)
    # generators of their own, and images that are left: with and without spares, the queries are the same
    spare_drafts, near_spares = shown.choose(spare_drafts, Random(f"spare causes {config.seed}"))
    spare = replace(writer, anchors=near_spares).write(
        spare_drafts,
        cases_shown(spare_drafts, inputs.cases),
        Random(f"spare images {config.seed}"),
        [pick.row for pick in written.picks],
    )
    copies.finish()
    queries = order_in_blocks(written.queries)
    shares = type_shares(
        inputs.weights,
        inputs.targets,
        config.maxnum,
        case_counts,
        asked,
        drafts,
        written.picks,
        written.too_long,
        written.uncovered,
        [kind for kind in inputs.uncovered if not inputs.cases[kind]],
    )
    spares = order_in_blocks(spare.queries)
    if config.spare_share:
        count_spares(shares, spares)
    # sampling.json says why queries are missing, also where there are none
    write_json(config.output.with_name("sampling.json"), shares)
    check_any_query(len(queries), config.maxnum, shares, pool.left_out)
    write_json(config.output, queries)
    write_spares(config.output.with_name(SPARE_FILE), config.spare_share, spares)
    causes_file = config.output.with_name(CAUSES_FILE)
    if causes:
        causes.count_queries(queries)
        write_json(causes_file, causes.file)
    else:
        # of an earlier run of this step, so that nothing takes it for this one's; what was paid for is in the ledger
        causes_file.unlink(missing_ok=True)
    unreadable = [*sorted(set(anchors.missing.values())), *pool.unreadable]
    return ConstructQueriesResult(
        image_root=config.coco_dataset,
        queries=queries,
        shares=shares,
        preview=make_previews(
            writer, queries, inputs.weights, inputs.preview_type, inputs.preview_cases, config.examples
        ),
        pool=len(pool.images),
        eligible=int(pool.free.sum()),
        left_out=dict(pool.left_out),
        left_out_rows=pool.images.left_out_rows,
        unreadable=unreadable,
        compared=copies.sentence(config.near_duplicate),
        warnings=[
            *inputs.warnings,
            *query_warnings(len(queries), config.maxnum, shares, unreadable),
            *spare_warnings(len(spare_drafts), len(spares), len(spare.too_long), len(spare.uncovered)),
        ],
        causes=causes.file.types if causes else {},
        spares=spares,
        images=pool.images,
        evaluation_root=pool.evaluation_root,
    )


def _causes(config: ConstructQueriesConfig, inputs: QueryInputs, search: ImageSearch) -> FoundCauses | None:
    if config.causes == "none":
        return None
    settings = CauseSettings(config.max_causes, config.min_cause_cases, config.seed, config.round)
    found, warnings = find_causes(
        inputs.cases, settings, config, search, config.encoder, config.output.with_name("causes_ledger.jsonl")
    )
    inputs.warnings.extend(warnings)
    if "cause" not in inputs.template.reads:
        inputs.warnings.append(
            f"{inputs.template.file}: does not name causes to the teacher; use cause in it, or choose a built-in template"
        )
    return found
