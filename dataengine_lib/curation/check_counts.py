"""Step 4: what the checks beyond format found, the part `checks` of `post_process.json`."""

import msgspec

from dataengine_lib.curation.blind_figure import BlindFigures
from dataengine_lib.evaluation.metrics import StudentUsage


class CheckCount(msgspec.Struct):
    """QAs that a check could say something of, those that it marked, and those dropped for it."""

    said: int = 0
    marked: int = 0
    dropped: int = 0


class ChecksSummary(msgspec.Struct, kw_only=True):
    """`checks` by the name of the parameter; a check that is off is not there.

    `blind_classifier` are its figures of the QAs that the checks before left, `after_dropping` of those that stayed,
    None where there was nothing to say or to drop; `blind_reader` those of a teacher without the picture.
    `blind_drawn_from`: how many QAs the classifier's are a sample of; not there where they are all.
    `usage` is what the readers took.
    """

    checks: dict[str, CheckCount] = {}
    blind_classifier: BlindFigures | None = None
    blind_drawn_from: int | msgspec.UnsetType = msgspec.UNSET
    after_dropping: BlindFigures | None = None
    blind_reader: BlindFigures | None = None
    usage: dict[str, StudentUsage] = {}
