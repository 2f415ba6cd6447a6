"""Step 2: spare queries. Step 3 asks one for each reply that skips, so that the QAs kept follow the weights."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Query
from dataengine_lib.queries.answer_kinds import with_one_kind
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.sampling import QueryDraft, draw_drafts
from dataengine_lib.queries.type_shares import POOL_EMPTY, TOO_LONG, UNCOVERED, TypeShare

SPARE_FILE = "gptvqa_spare.json"
ASKED_SPARES_FILE = "gptvqa_spare_asked.json"  # those that step 3 asked, in the format of gptvqa_prompt.json


def with_asked_spares(files: Iterable[Path]) -> list[Path]:
    """`files`, each a gptvqa_prompt.json, and after each the file of the spares that were asked beside it, if any were."""
    return [
        found
        for file in files
        for found in (file, file.with_name(ASKED_SPARES_FILE))
        if found == file or found.is_file()
    ]


def draw_spares(
    drafts: Sequence[QueryDraft],
    cases: Mapping[str, Sequence[BadCase]],
    share: float,
    *,
    examples: int,
    neighbour_share: float,
    seed: int,
) -> list[QueryDraft]:
    """Drafts of spare queries: of each type `share` times as many as of `drafts`, rounded up; by the same rules.

    Drawn with a generator of their own, so that `drafts` and their images stay as without spares.
    """
    counts = Counter(draft.question_type for draft in drafts)
    # 1e-9 is for shares like 0.1, which floats hold inexactly
    wanted = {name: math.ceil(number * share - 1e-9) for name, number in counts.items()}
    rng = Random(f"spares {seed}")
    drawn, _ = draw_drafts(
        dict.fromkeys(wanted, 1.0),
        {name: len(cases[name]) for name in wanted},
        sum(wanted.values()),
        examples=examples,
        neighbour_share=neighbour_share,
        rng=rng,
        targets=wanted,
    )
    return with_one_kind(drawn, cases, rng)


def count_spares(shares: Mapping[str, TypeShare], spares: Sequence[Query]) -> None:
    """Write into `shares` how many spare queries each type has."""
    written = Counter(query.question_type for query in spares)
    for name, share in shares.items():
        share.spares = written[name]


def write_spares(file: Path, share: float, spares: Sequence[Query]) -> None:
    """Write the spare queries; without any asked for, remove those of an earlier run, so that step 3 asks none of them."""
    if share:
        write_json(file, spares)
    else:
        file.unlink(missing_ok=True)


def spare_warnings(wanted: int, written: int, too_long: int, uncovered: int = 0) -> list[str]:
    """A sentence where fewer spare queries were written than wanted, and why."""
    if written == wanted:
        return []
    reasons = [f"{too_long:,} {TOO_LONG}"] if too_long else []
    reasons += [f"{uncovered:,} {UNCOVERED}"] if uncovered else []
    reasons += [POOL_EMPTY] if wanted - written > too_long + uncovered else []
    return [f"{written:,} of {wanted:,} spare queries were written: {'; '.join(reasons)}"]
