"""Step 3: 5,000 requests against a server that misbehaves in every way, killed 30 times at random moments.

Ends with figures, or with an AssertionError; `tests/teachers/test_generate_qa_kills.py` does the same at a smaller count.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from killed.kill_runs import kill_runs
from table.results import Row, write_result

if __name__ == "__main__":
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = kill_runs(Path(folder), requests=5000, kills=30, seed=1)
    print(f"{figures}, {time.monotonic() - start:.0f} s")
    row = Row(
        "step 3, 5,000 requests to a server that misbehaves, 30 kills",
        "nothing lost, nothing twice",
        str(figures),
    )
    write_result("kills", [row])
