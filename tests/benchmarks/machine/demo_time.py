"""Runs the demo and shows its time by step; it must take at most 5 minutes, of which notebooks 10 %.

Run by `make bench`, alone on a machine with two cores: what else runs makes it slower, more cores make it faster.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from table.results import PROJECT_ROOT, Row, write_result

from dataengine_lib.core.text import duration

MOST_SECONDS = 300.0
MOST_OVERHEAD = 0.1  # share of the time that notebooks take to start and pages to render
HEAD = ("step", "seconds", "share", "of it notebook")


def rows_of(run: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(label, seconds, those of its notebook) of everything in a `run.json`."""
    drawn = [("drawing the playground", run["playground_seconds"], 0.0)]
    return drawn + [(step["label"], step["seconds"], step["overhead_seconds"]) for step in run["steps"]]


def lines_of(run: dict[str, Any]) -> list[str]:
    """The table of a run's times."""
    rows = [*rows_of(run), ("all", run["seconds"], run["overhead_seconds"])]
    width = max(len(label) for label, _, _ in rows)
    lines = [f"{HEAD[0]:{width}}  {HEAD[1]:>8}  {HEAD[2]:>6}  {HEAD[3]:>14}"]
    for label, seconds, overhead in rows:
        lines.append(f"{label:{width}}  {seconds:8.1f}  {seconds / run['seconds']:6.1%}  {overhead:14.1f}")
    return lines


def main() -> None:
    """Run, show and check."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--experiment", type=Path, default=PROJECT_ROOT / "params/demo.yaml")
    parser.add_argument("--out", type=Path, default=PROJECT_ROOT / "reports/bench")
    parser.add_argument("--shown", type=Path, help="a finished run's folder, whose times are shown instead")
    given = parser.parse_args()
    if not given.shown:
        program = str(Path(sys.executable).with_name("dataengine"))
        asked = [program, "run", str(given.experiment), "--force", "--out", str(given.out)]
        if status := subprocess.run(asked, cwd=PROJECT_ROOT, check=False).returncode:
            sys.exit(status)
    run = json.loads(((given.shown or given.out) / "run.json").read_text(encoding="utf-8"))
    print("\n".join(lines_of(run)))
    share = run["overhead_seconds"] / run["seconds"]
    print(
        f"the demo on {os.cpu_count()} cores: {run['seconds']:.0f} s (at most {MOST_SECONDS:.0f}), notebooks "
        f"{share:.1%} (at most {MOST_OVERHEAD:.0%})"
    )
    by_step: dict[str, float] = {}
    for step in run["steps"]:
        by_step[step["step"]] = by_step.get(step["step"], 0.0) + step["seconds"]
    steps = ", ".join(f"{name} {seconds:.0f}" for name, seconds in by_step.items())
    write_result("demo_time", [
        Row("the demo, two rounds", f"at most {duration(MOST_SECONDS)} on two idle cores",
            f"{duration(run['seconds'])}; seconds by step: {steps}"),
        Row("notebooks' own time in the demo", f"at most {MOST_OVERHEAD:.0%}", f"{share:.1%}"),
    ], f"run of {run['started'][:16]}" if given.shown else None)  # fmt: skip
    if run["seconds"] > MOST_SECONDS or share > MOST_OVERHEAD:
        sys.exit("the demo, or its notebooks, take longer than is promised")


if __name__ == "__main__":
    main()
