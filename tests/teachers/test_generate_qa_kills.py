"""Step 3 survives SIGKILL at any moment against a server that misbehaves in every way."""

from pathlib import Path

from killed.kill_runs import kill_runs


def test_every_id_once_and_nothing_paid_twice(tmp_path: Path) -> None:
    figures = kill_runs(tmp_path, requests=600, kills=6)
    assert figures["kills"] >= 3  # the others had ended by then
    assert figures["results"] + figures["failures"] == 600 and figures["failures"] > 10
