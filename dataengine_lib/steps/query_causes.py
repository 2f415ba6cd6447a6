"""Step 2: the causes below the types, by clustering or by a teacher, or those of an earlier round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.text import shown
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import FoundCauses, read_causes
from dataengine_lib.queries.causes.features import TEXT_FEATURES
from dataengine_lib.queries.causes.find_causes import CLUSTER, CauseSettings, cluster_causes
from dataengine_lib.queries.image_search import ImageSearch
from dataengine_lib.teachers.causes.cause_teacher import TEACHER, CauseTeacher


@dataclass(frozen=True)
class AskedCauses:
    """The teacher that names causes: its spec, how it is asked, its ledger, and what it may cost (US dollars)."""

    teacher: str
    settings: ChatSettings
    ledger: Path
    budget_usd: float | None
    prices: Path | None


def find_causes(
    cases: Mapping[str, Sequence[BadCase]],
    settings: CauseSettings,
    asked: AskedCauses | None,
    search: ImageSearch,
    encoder: str,
    earlier: Sequence[Path],
) -> tuple[FoundCauses, list[str]]:
    """(the causes, warnings); found by clustering where no teacher is asked. The last of `earlier` says which are kept."""
    file = earlier[-1] if earlier else None
    if asked is None:
        images = search.anchors([], [case for of_type in cases.values() for case in of_type])
        size = TEXT_FEATURES + images.vectors_of([]).shape[1]
        kept = read_causes(file, CLUSTER, encoder, size) if file else None
        return cluster_causes(cases, images.vectors_of, encoder, settings, kept), []
    teacher = CauseTeacher(
        asked.teacher,
        asked.settings,
        asked.ledger,
        asked.budget_usd,
        asked.prices,
    )
    found = teacher.find(cases, settings, read_causes(file, TEACHER, "", 0) if file else None)
    if not teacher.failures:
        return found, []
    number, first = len(teacher.failures), shown(teacher.failures[0], 160)
    return found, [f"{asked.teacher} gave no usable reply about causes, {number:,} times; the first: {first}"]
