"""A Ray cluster that a busy machine does not start in Ray's own time."""

from typing import Any

import pytest
import ray

from dataengine_lib.core.machine.ray_cluster import most_on_one_node, ray_cluster, shares
from dataengine_lib.errors import DataEngineError

SLOW = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


@pytest.mark.parametrize(
    ("faults", "starts", "shutdowns", "raised"),
    [
        # the second shutdown is that of the block's end
        ([SLOW], 2, 2, None),
        (
            [SLOW, SLOW],
            2,
            1,
            "engine: Ray did not start within its 30 s, twice; end other programs, or set local",
        ),
        (["another fault"], 1, 0, "another fault"),
    ],
)
def test_a_slow_start_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, faults: list[str], starts: int, shutdowns: int, raised: str | None
) -> None:
    calls: list[str] = []

    def init(**_: Any) -> None:
        calls.append("init")
        if (number := calls.count("init")) <= len(faults):
            raise Exception(faults[number - 1])

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    if raised is None:
        with ray_cluster(2, "engine", "local"):
            pass
    else:
        with pytest.raises(Exception) as caught, ray_cluster(2, "engine", "local"):
            pass
        assert str(caught.value) == raised
        assert isinstance(caught.value, DataEngineError) == (faults[0] == SLOW)
    assert (calls.count("init"), calls.count("shutdown")) == (starts, shutdowns)


@pytest.mark.parametrize(
    ("nodes", "workers", "count", "most"),
    [
        ([{"CPU": 8}, {"CPU": 32, "GPU": 2}], "ray", 2, 2),  # both on the machine with GPUs
        ([{"CPU": 4}, {"CPU": 64, "GPU": 8}], "ray", 8, 8),
        ([{"CPU": 4}, {"CPU": 4}], 2, 2, 1),  # four CPUs each
        ([{"CPU": 2}, {"CPU": 6}], 4, 4, 3),
        ([{"CPU": 2}], 3, 2, 2),
        ([{"CPU": 2, "GPU": 1}], 4, 4, 4),  # on a machine with fewer CPUs, four share the GPU
        ([{}], 1, 1, 1),
    ],
)
def test_how_many_workers_may_be_on_one_machine(
    nodes: list[dict[str, float]], workers: int | str, count: int, most: int
) -> None:
    number, share = shares(nodes, workers, 100)
    assert number == count and most_on_one_node(nodes, number, share) == most
