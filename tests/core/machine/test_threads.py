"""Models below a size compute in one thread, wherever they are used; what waits for another thread sleeps."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fine_tuning import CHOICES, QUESTION, Make, config, images, student  # noqa: F401
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.core.machine import threads
from dataengine_lib.core.machine.threads import ONE_THREAD_BELOW, threads_for
from dataengine_lib.embeddings.encoder import load_encoder
from dataengine_lib.embeddings.text_encoder import load_text_encoder
from dataengine_lib.steps.fine_tune import fine_tune
from dataengine_lib.students.loading import load_student

CLIP = str(PROJECT_ROOT / "data_demo/models/tiny-clip")


@pytest.fixture
def two_threads(torch_threads: Callable[[int], None]) -> None:
    torch_threads(2)


@pytest.fixture
def seen() -> Iterator[set[int]]:
    """The numbers of threads with which any module of torch has computed."""
    found: set[int] = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: found.add(torch.get_num_threads())
    )
    yield found
    hook.remove()


@pytest.mark.usefixtures("two_threads")
def test_a_small_model_has_one_thread_and_a_large_one_those_of_torch() -> None:
    for parameters, expected in ((0, 1), (ONE_THREAD_BELOW - 1, 1), (ONE_THREAD_BELOW, 2)):
        with threads_for(parameters):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 2
    with threads_for(torch.nn.Linear(2, 2)):
        assert torch.get_num_threads() == 1
    with pytest.raises(ZeroDivisionError), threads_for(0):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("limit", "expected"), [(ONE_THREAD_BELOW, {1}), (0, {2})])
def test_students_training_and_encoders_keep_to_it(
    config: Make,  # noqa: F811
    student: Path,  # noqa: F811
    seen: set[int],
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    expected: set[int],
) -> None:
    monkeypatch.setattr(threads, "ONE_THREAD_BELOW", limit)
    picture = Image.new("RGB", (40, 30), "red")
    loaded = load_student(str(student), "cpu")
    uses = {
        "rank": lambda: loaded.rank([picture], [QUESTION], [CHOICES]),
        "generate": lambda: loaded.generate([picture], [QUESTION]),
        "fine_tune": lambda: fine_tune(config(max_steps=1, eval_share=0.3)),
        "encode": lambda: load_encoder(CLIP, "cpu").encode([picture]),
        "encode texts": lambda: load_text_encoder(CLIP).encode(["a red car"]),
    }
    for name, use in uses.items():
        seen.clear()
        use()
        assert seen == expected, name


def test_waiting_threads_sleep_and_numpy_has_one_unless_the_user_has_set_it() -> None:
    """Set before torch and NumPy are imported, which read it once."""
    program = (
        "import dataengine_lib, os, sys; assert not {'torch', 'numpy'} & {*sys.modules}\n"
        "import numpy; from threadpoolctl import threadpool_info\n"
        "print(os.environ['OMP_WAIT_POLICY'], *(one['num_threads'] for one in threadpool_info()))"
    )
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_THREADS") and name != "OMP_WAIT_POLICY"
    }

    def run(**more: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program], env=mine | more, capture_output=True, check=True
        )
        return done.stdout.decode().split()

    assert run() == ["PASSIVE", "1"]
    assert run(OMP_WAIT_POLICY="ACTIVE")[0] == "ACTIVE"
