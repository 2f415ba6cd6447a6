"""Report of step 2: the causes below each type, how many bad cases had each in every round, and the queries about it."""

from collections.abc import Mapping

from dataengine_lib.queries.causes.causes_file import TypeCauses
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, table

_EXAMPLES = 3  # cases named of each cause
_OFF = "causes: none; cluster or teacher would group the bad cases of each type"


def cause_table(causes: Mapping[str, TypeCauses]) -> Html:
    """The causes of each type, those of the most bad cases first; a column for each round, and the change over them."""
    if not causes:
        return table([], [], _OFF)
    rounds = sorted({n for one in causes.values() for cause in one.causes for n in cause.by_round})
    rows = []
    for kind, of_type in causes.items():
        whole = len(of_type.causes) == 1
        for cause in sorted(of_type.causes, key=lambda one: (-one.cases, one.name)):
            counts = [cause.by_round.get(number) for number in rounds]
            known = [count for count in counts if count is not None]
            row: list[object] = [
                plain_name(kind),
                cause.name or ("the whole type" if whole else "no cause named"),
            ]
            row += counts
            row += [_change(known)] if len(rounds) > 1 else []
            rows.append([*row, cause.queries, ", ".join(cause.case_ids[:_EXAMPLES])])
    columns = [f"bad cases, round {number}" if number else "bad cases" for number in rounds]
    change = ["change"] if len(rounds) > 1 else []
    head = ["question type", "cause", *columns, *change, "queries", "typical cases"]
    several = sum(len(one.causes) > 1 for one in causes.values())
    return table(rows, head, f"{several} of {len(causes)} types have more than one cause")


def _change(counts: list[int]) -> Figure:
    if len(counts) < 2 or not counts[0]:
        return Figure("–")
    return Figure(f"{100 * (counts[-1] - counts[0]) / counts[0]:+.0f} %")
