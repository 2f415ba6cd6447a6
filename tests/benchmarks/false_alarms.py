"""Simulates comparisons through step 6's own functions: how often it errs, and how often it finds a planted gain.

Run by `make bench`. 18 types of 120 questions. Without any effect, at most 5 % of 200 comparisons may call any type real,
also where questions of one image change alike; a planted gain is found as often as `dataengine plan` promises, to within
5 points.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))

from made_study.comparisons import DISCORDANCE, EACH, TYPES, verdicts
from table.results import Row, write_result

from dataengine_lib.core.significance.power import power

COMPARISONS, MOST_ALARMS, MOST_APART = 200, 0.05, 0.05


def main() -> None:
    wrong, rows = [], []
    for alike in (0.0, 0.3, 1.0):
        alarms = float((verdicts(COMPARISONS, {}, alike=alike, seed=1) != 0).any(axis=1).mean())
        print(
            f"no effect, {alike:.0%} of an image's changes alike: {alarms:.1%} of comparisons with a false alarm"
        )
        rows.append(Row(f"step 6's false alarms, {alike:.0%} of an image's changes alike", f"at most {MOST_ALARMS:.0%}",
                        f"{alarms:.1%} of {COMPARISONS} comparisons"))  # fmt: skip
        if alarms > MOST_ALARMS:
            wrong.append(
                f"{alarms:.1%} of comparisons call something real; at most {MOST_ALARMS:.0%} is promised"
            )
    for gain in (0.1, 0.2, 0.25):
        promised = power(gain, EACH, 0.05 / TYPES, DISCORDANCE)
        planted = dict.fromkeys((0, 6, 12), gain)
        found = float((verdicts(COMPARISONS, planted, alike=0.0, seed=1)[:, list(planted)] == 1).mean())
        print(f"+{100 * gain:g} points planted in 3 types: found in {found:.1%}, promised {promised:.1%}")
        rows.append(Row(f"step 6 finds +{100 * gain:g} points planted in 3 types", f"{promised:.1%}, as planned",
                        f"{found:.1%}"))  # fmt: skip
        if abs(found - promised) > MOST_APART:
            wrong.append(
                f"+{100 * gain:g} points are found in {found:.1%} of cases; {promised:.1%} is promised"
            )
    write_result("false_alarms", rows)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
