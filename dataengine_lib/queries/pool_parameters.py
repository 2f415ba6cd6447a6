"""Step 2: the parameters of its images, the pool that they describe, and the search in it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import ImageRef, locate_all
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.image_search import ImageSearch, SearchSettings, open_search
from dataengine_lib.queries.panel_images import panel_images
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.questions.evaluation_images import read_image_refs
from dataengine_lib.questions.question_sets import Panel


class PoolParameters(StepConfig):
    """The pool's images, those that must not be asked about, and how they are compared."""

    coco_dataset: Path
    """Image pool: a COCO or Visual Genome folder, or images with captions."""
    coco_embedding: Path
    """The pool's embedding store; made or completed here when it is not up to date."""
    bad_case_image_root: Path | None = None
    """Images of bad cases and evaluation questions; default: coco_dataset."""
    questions: Path | None = None
    """Evaluation questions, whose images must not be trained on."""
    panel: Panel = Field(default_factory=dict)
    """Further evaluation sets, {NAME: {questions, image_root}}; no query asks about their images."""
    encoder: str
    """clip:ViT-B/32, or a transformers CLIP/SigLIP name or folder."""
    topk: int = Field(1000, ge=1)
    """Neighbours to draw from."""
    exclude_queries: list[Path] = Field(default_factory=list)
    """gptvqa_prompt.json of earlier rounds."""
    min_side: int = Field(0, ge=0)
    """Pool images whose shorter side has fewer pixels are left out."""
    min_captions: int = Field(1, ge=0)
    """Pool images with fewer captions are left out."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of a file's rows, or of the evaluation questions' images, cannot be used."""
    near_duplicate: float | None = Field(0.98, gt=0, le=1)
    """Pool images whose cosine with an evaluation image reaches this are left out; null: copies alone are."""
    batch_size: int = Field(64, ge=1)
    device: str = "auto"

    def query_pool(self, warn: Callable[[str], None]) -> QueryPool:
        """The pool, in which images that are too small or lack captions are left out."""
        images = read_pool(
            self.coco_dataset,
            min_side=self.min_side,
            min_captions=self.min_captions,
            max_bad_share=self.max_bad_share,
        )
        for line in images.warnings:
            warn(line)
        return QueryPool(images, self.bad_case_image_root or self.coco_dataset)

    def image_search(
        self,
        pool: QueryPool,
        bad_cases: Iterable[BadCase],
        needed: Iterable[BadCase],
        warn: Callable[[str], None],
    ) -> ImageSearch:
        """Leave out images that must not be asked about, those of `bad_cases` among them; embed the pool, and `needed`.

        Raises DataEngineError when too many images of the evaluation questions are not found,
        or too many of a panel's set.
        """
        refs: list[ImageRef] = [case.image for case in bad_cases]
        scored: list[ImageRef] = []
        if self.questions:
            scored = read_image_refs(self.questions, pool.evaluation_root, self.max_bad_share, warn)
        refs = list(dict.fromkeys([*refs, *scored]))
        paths, missing = locate_all(refs, pool.find)
        if self.questions:
            _check_found(self.questions, scored, missing, self.max_bad_share)
        of_panel = panel_images(self.panel, pool.evaluation_root, self.max_bad_share, warn)
        refs, paths = [*refs, *of_panel], {**paths, **of_panel}
        # An image counts under the first reason found, so evaluation images are reported as such.
        pool.leave_out_evaluation(refs, paths)
        for line in pool.leave_out_queries(self.exclude_queries, self.max_bad_share):
            warn(line)
        settings = SearchSettings(
            encoder=self.encoder,
            store=self.coco_embedding,
            topk=self.topk,
            near_duplicate=self.near_duplicate,
            device=self.device,
            batch_size=self.batch_size,
        )
        return open_search(pool, paths, missing, [case.image for case in needed], settings)


def _check_found(
    file: Path, scored: Sequence[ImageRef], missing: Mapping[ImageRef, str], max_share: float
) -> None:
    """Raise DataEngineError when too many evaluation images are not found: copies of them could not be left out."""
    not_found = BadRows(file, max_share, len(scored), remedy="set bad_case_image_root to their folder")
    not_found.add(*(BadRow("an image", missing[ref], "image not found") for ref in scored if ref in missing))
    not_found.check()
