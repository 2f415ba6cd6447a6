"""Step 2: the causes below the types, by clustering or by a teacher, or those of an earlier round."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.text import shown
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import FoundCauses, read_causes
from dataengine_lib.queries.causes.features import TEXT_FEATURES
from dataengine_lib.queries.causes.find_causes import CLUSTER, CauseSettings, cluster_causes
from dataengine_lib.queries.image_search import ImageSearch
from dataengine_lib.teachers.causes.cause_teacher import TEACHER, CauseTeacher
from dataengine_lib.teachers.causes.settings import CauseParameters


def find_causes(
    cases: Mapping[str, Sequence[BadCase]],
    settings: CauseSettings,
    parameters: CauseParameters,
    search: ImageSearch,
    encoder: str,
    ledger: Path,
) -> tuple[FoundCauses, list[str]]:
    """(the causes, warnings); a teacher's replies go to `ledger`. The last of earlier_causes says which causes are kept."""
    all_cases = [case for of_type in cases.values() for case in of_type]
    without = sum(not case.right for case in all_cases)
    warnings = []
    if without:
        warnings.append(
            f"{without:,} of {len(all_cases):,} bad cases do not say the right answer, so their causes are found by their "
            "other texts"
        )
    file = parameters.earlier_causes[-1] if parameters.earlier_causes else None
    if parameters.causes == CLUSTER:
        images = search.anchors([], all_cases)
        size = TEXT_FEATURES + images.vectors_of([]).shape[1]
        kept = read_causes(file, CLUSTER, encoder, size, settings.round) if file else None
        return cluster_causes(cases, images.vectors_of, encoder, settings, kept), warnings
    asked = ChatSettings(base_url=parameters.base_url, max_output_tokens=parameters.max_output_tokens)
    teacher = CauseTeacher(parameters.cause_teacher, asked, ledger, parameters.budget_usd, parameters.prices)
    found = teacher.find(cases, settings, read_causes(file, TEACHER, "", 0, settings.round) if file else None)
    if teacher.failures:
        number, first = len(teacher.failures), shown(teacher.failures[0], 160)
        warnings.append(
            f"{parameters.cause_teacher} gave no complete reply about causes, {number:,} times, so cases may have no "
            f"cause, and the causes of their type no count of this round; the first: {first}"
        )
    return found, warnings
