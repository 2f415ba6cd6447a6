"""Before steps 2 and 3: what a built-in teacher can write; models write questions of any type about any image."""

from typing import Literal

from dataengine_lib.core.records import QaForm, shows_options
from dataengine_lib.images.pool import ImagePool
from dataengine_lib.queries.coverage import Coverage
from dataengine_lib.questions.categories import type_name

CoveredTeacher = Literal["annotations", "playground"]  # those that say what they can write


def teacher_coverage(spec: str | None, pool: ImagePool | None = None) -> Coverage | None:
    """What the teacher `spec` can write, about the images of `pool` where it is given; None for any other teacher.

    Raises DataEngineError for a pool whose images the teacher cannot read.
    """
    if spec == "annotations":
        from dataengine_lib.annotations.teacher import AnnotationsTeacher, writes

        if pool is None:
            return Coverage(spec, writes)
        return Coverage(spec, writes, AnnotationsTeacher(pool.root, pool).answers, by_image=True)
    if spec == "playground":
        return Coverage(spec, _playground_writes)
    return None


def _playground_writes(question_type: str, form: QaForm) -> bool:
    # imported here: the drawn world is slow to import for users of another teacher
    from dataengine_lib.playground.other_kinds import is_written
    from dataengine_lib.playground.questions import QUESTION_WRITERS

    if shows_options(form.kind):
        return question_type in {type_name(kind) for kind in QUESTION_WRITERS}
    return is_written(question_type)
