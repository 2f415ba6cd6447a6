"""Makes docs/benchmarks.md, the last step of `make bench`: one row per promise, from docs/benchmarks.json.

Results in `build/bench` that are not older replace those in docs/benchmarks.json first, so a benchmark that was not run
keeps its rows and their date.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from table.results import PROJECT_ROOT, RESULTS, Result, read_results
from table.scripts import names

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.written_files.whole_file import replacing

KEPT, PAGE = PROJECT_ROOT / "docs/benchmarks.json", PROJECT_ROOT / "docs/benchmarks.md"
_HEAD = """# Benchmarks

Made by `make bench` from what its scripts measured (`tests/benchmarks`); a script that was not run keeps its older rows.
Ratios are of two ways that ran in turn on the same machine. Peers are not dependencies: where one is missing, the row
says how to install it, and nothing fails. A remark says what else used the machine: then seconds by the clock are too
long, and ratios and processor seconds tell more.
"""
_TABLE = """
| promise | figure | the simplest honest way | best peer | machine, day |
|---|---|---|---|---|
"""


def page(results: Mapping[str, Result]) -> str:
    """The page of these results, in the order of `make bench`."""
    machines: list[str] = []
    text = _HEAD + _TABLE
    for name in names():
        if (result := results.get(name)) is None:
            text += f"| `{name}` | not measured yet | – | – | – |\n"
            continue
        if result.machine not in machines:
            machines.append(result.machine)
        letter = LETTERS[machines.index(result.machine)]
        where = "; ".join(filter(None, [f"{letter}, {result.day}", result.remark]))
        for row in result.rows:
            what = f"{row.what} ({row.promised})" if row.promised else row.what
            cells = (f"{what} · `{name}`", row.figure, row.simplest or "–", row.peer, where)
            text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    text += "\nMachines:\n\n"
    return text + "".join(f"- {LETTERS[place]}: {one}\n" for place, one in enumerate(machines))


def main() -> None:
    results = read_results(KEPT.read_bytes()) if KEPT.exists() else {}
    for file in sorted(RESULTS.glob("*.json")):
        new = msgspec.json.decode(file.read_bytes(), type=Result)
        if new.benchmark not in results or new.day >= results[new.benchmark].day:
            results[new.benchmark] = new
    known = names()
    write_json(KEPT, [results[name] for name in known if name in results])
    with replacing(PAGE, "w") as stream:
        stream.write(page(results))
    if missing := [name for name in known if name not in results]:
        print(f"no result yet of: {', '.join(missing)}")
    print(f"{PAGE.relative_to(PROJECT_ROOT)}: {sum(len(one.rows) for one in results.values())} rows")


if __name__ == "__main__":
    main()
