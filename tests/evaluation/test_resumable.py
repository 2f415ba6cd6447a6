"""Tests of step 1 killed in the middle, and on several workers: it writes the same files."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from project import PROJECT_ROOT
from tiny_models import save_tiny_llava

from dataengine_lib.core.machine.ray_cluster import shares
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation import questioner, resumable
from dataengine_lib.evaluation.questioner import Questioner
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.students import loading as student_loading

KINDS = ["image_scene", "image_style", "image_topic"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny student and 240 questions about 120 images."""
    folder = tmp_path_factory.mktemp("many")
    save_tiny_llava(folder / "model")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(1, 121):
        pixels = generator.integers(0, 255, (20 + number % 30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:012d}.png")
        for which in range(2):
            rows.append(
                {
                    "image_id": number,
                    "image_path": f"{number:012d}.png",
                    "question_id": f"q{number}-{which}",
                    "question": f"What is in picture {number}" + " of them" * (number % 4) + "?",
                    "choices": ["a dog", "two cats", "cow", "pig"][: 3 + which],
                    "correct_choice_idx": number % 3,
                    "direct_answers": ["dog"] * 10,
                    "question_type": KINDS[number % 3],
                }
            )
    (folder / "questions.json").write_text(json.dumps(rows))
    return folder


def values(folder: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {
        "questions": folder / "questions.json",
        "image_root": folder,
        "student": str(folder / "model"),
        "output_dir": out,
        "categories": "v1",
        "device": "cpu",
        "batch_size": 4,
        **more,
    }


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("plain")
    evaluate(EvaluateConfig(**values(folder, out)))
    return files(out)


# The command line with a pause after every batch, so that it can be killed in the middle.
SLOW_COMMAND = """
import time
from dataengine_lib import cli
from dataengine_lib.evaluation.questioner import Questioner
ask = Questioner.ask
Questioner.ask = lambda self, tasks: (time.sleep(0.1), ask(self, tasks))[1]
cli.main()
"""


def test_a_killed_run_goes_on_where_it_was(folder: Path, plain: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW_COMMAND, "evaluate"]
    for key, value in values(folder, out).items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    progress = out / "evaluate.progress.jsonl"
    killed = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: progress.exists() and progress.read_bytes().count(b"\n") >= 3, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = progress.read_bytes()
    assert 3 <= kept.count(b"\n") < 30 and not (out / "aokvqa_eval.json").exists()
    progress.write_bytes(kept + b'{"key":"torn')  # as a kill in the middle of a line leaves it
    asked = counted(folder, out)
    assert asked == 240 - 8 * kept.count(b"\n")  # two questions about each of the four images of a batch
    assert files(out) == plain


def wait_for(true: Any, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.005)


def counted(folder: Path, out: Path) -> int:
    """Run the step; the number of questions that the student was asked."""
    from dataengine_lib.students.hugging_face_student import HuggingFaceStudent

    asked = []
    plain_rank = HuggingFaceStudent.rank

    def rank(self: Any, images: Any, *more: Any) -> Any:
        asked.append(len(images))
        return plain_rank(self, images, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HuggingFaceStudent, "rank", rank)
        evaluate(EvaluateConfig(**values(folder, out)))
    return sum(asked)


def test_answers_kept_for_another_rule_are_not_reused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate(EvaluateConfig(**values(folder, out, rank="letter")))
    letters = files(out)
    evaluate(EvaluateConfig(**values(folder, out)))
    assert files(out) != letters
    assert not (out / "evaluate.progress.jsonl").exists()


def broken(folder: Path, copy: Path) -> tuple[Path, bytes]:
    """An image that cannot be read any more, in a copy of the folder, and its content."""
    shutil.copytree(folder, copy)
    image = copy / f"{2:012d}.png"
    content = image.read_bytes()
    image.write_bytes(b"x" * len(content))
    return image, content


def test_an_image_that_can_be_read_again_is_asked_about(
    folder: Path, plain: dict[str, bytes], tmp_path: Path
) -> None:
    image, content = broken(folder, tmp_path / "data")
    time_of_change, out = image.stat().st_mtime_ns, tmp_path / "out"
    with pytest.raises(DataEngineError, match="cannot be read"):
        evaluate(EvaluateConfig(**values(tmp_path / "data", out, max_bad_share=0)))
    image.write_bytes(content)  # of the same size and time, as when only its permissions have changed
    os.utime(image, ns=(time_of_change, time_of_change))
    assert counted(tmp_path / "data", out) == 240 - 6  # the other three images of the batch were answered
    assert files(out) == plain


def test_after_an_error_the_student_is_freed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    plain_load = student_loading.load_student

    def load(*given: Any) -> Any:
        student = plain_load(*given)
        loaded.append(weakref.ref(student))
        return student

    monkeypatch.setattr(student_loading, "load_student", load)
    broken(folder, tmp_path / "data")
    with pytest.raises(DataEngineError, match="cannot be read") as kept:
        evaluate(EvaluateConfig(**values(tmp_path / "data", tmp_path / "out", max_bad_share=0)))
    gc.collect()
    assert kept.tb is not None and [student() for student in loaded] == [None]


@pytest.mark.parametrize(
    ("nodes", "workers", "parts", "count", "each"),
    [
        ([{"CPU": 8}], 2, 9, 2, {"num_cpus": 4}),
        ([{"CPU": 2}, {"CPU": 2}], "ray", 1, 1, {"num_cpus": 2}),
        ([{"CPU": 3}, {"CPU": 3}], "ray", 3, 3, {"num_cpus": 1}),
        ([{"CPU": 2}, {"CPU": 16}], "ray", 3, 3, {"num_cpus": 5}),
        ([{"CPU": 2}], 4, 9, 2, {"num_cpus": 1}),
        ([{"CPU": 8}, {}], "ray", 99, 8, {"num_cpus": 1}),
        ([{"CPU": 8, "GPU": 2}], 3, 9, 3, {"num_gpus": 0.5, "num_cpus": 1}),
        ([{"CPU": 8, "GPU": 2}], "ray", 9, 2, {"num_gpus": 1, "num_cpus": 1}),
        ([{"CPU": 1, "GPU": 2}], 2, 9, 2, {"num_gpus": 1, "num_cpus": 0}),
    ],
)
def test_each_worker_fits_on_one_node(
    nodes: Any, workers: Any, parts: int, count: int, each: dict[str, float]
) -> None:
    assert shares(nodes, workers, parts) == (count, each)


@pytest.fixture
def two_threads(torch_threads: Callable[[int], None]) -> None:
    """As on a machine with two cores."""
    torch_threads(2)


def test_a_small_student_answers_in_two_processes_with_the_same_files(
    folder: Path, plain: dict[str, bytes], tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, ask = tmp_path / "asking", Questioner.ask

    def noted(self: Questioner, tasks: Any) -> Any:
        with asking.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        return ask(self, tasks)

    monkeypatch.setattr(Questioner, "ask", noted)
    evaluate(EvaluateConfig(**values(folder, tmp_path / "out")))
    assert files(tmp_path / "out") == plain
    asked = asking.read_text().split()
    assert len(asked) == 30 and len(set(asked)) == 2 and str(os.getpid()) not in asked

    def killed(self: Questioner, tasks: Any) -> Any:
        if tasks[0].question.image_id >= 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return ask(self, tasks)

    monkeypatch.setattr(Questioner, "ask", killed)
    with pytest.raises(DataEngineError, match="ended with status -9, most likely for lack of memory"):
        evaluate(EvaluateConfig(**values(folder, tmp_path / "killed")))
    # the answers before it are kept, and not asked for again
    kept = (tmp_path / "killed" / "evaluate.progress.jsonl").read_bytes().count(b"\n")
    monkeypatch.setattr(Questioner, "ask", ask)
    assert counted_in_processes(folder, tmp_path / "killed") == 30 - kept
    assert files(tmp_path / "killed") == plain


def test_processes_with_large_images_take_turns(
    folder: Path, plain: dict[str, bytes], tmp_path: Path, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding, answers = tmp_path / "holding", Questioner._answers

    def noted(self: Questioner, tasks: Any, images: Any) -> Any:
        with holding.open("a", buffering=1) as stream:
            stream.write(f"{os.getpid()} begins\n")
            found = answers(self, tasks, images)
            stream.write(f"{os.getpid()} ends\n")
        return found

    monkeypatch.setattr(Questioner, "_answers", noted)
    # a batch has 3,200 pixels at least, of six bytes each
    monkeypatch.setattr(questioner, "memory_share", lambda processes: 3200 * 6 - 1 if processes == 2 else 0)
    evaluate(EvaluateConfig(**values(folder, tmp_path / "out")))
    assert files(tmp_path / "out") == plain
    lines = [line.split() for line in holding.read_text().splitlines()]
    assert len(lines) == 60 and len({process for process, _ in lines}) == 2
    # no process begins before the one that holds images has ended
    pairs = zip(lines[::2], lines[1::2], strict=True)
    assert all(end == [process, "ends"] for (process, _), end in pairs)


def counted_in_processes(folder: Path, out: Path) -> int:
    """Run the step; the number of batches that were asked, in whatever process."""
    asked: list[int] = []
    plain_forks = resumable.in_forks

    def forked(work: Any, batches: Any, processes: int) -> Any:
        asked.append(len(batches))
        return plain_forks(work, batches, processes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable, "in_forks", forked)
        evaluate(EvaluateConfig(**values(folder, out)))
    return sum(asked)


def test_workers_make_the_same_files(
    folder: Path, plain: dict[str, bytes], tmp_path: Path, ray_here: None
) -> None:
    evaluate(EvaluateConfig(**values(folder, tmp_path / "out", workers=2)))
    assert files(tmp_path / "out") == plain


def worker_processes() -> list[int]:
    """The processes of this run's workers that hold a student."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # one that has just ended, as of an earlier test's cluster
            if "_Worker" in " ".join([child.name(), *child.cmdline()]):
                found.append(child.pid)
    return found


def test_a_killed_worker_costs_time_and_no_row(
    folder: Path, plain: dict[str, bytes], tmp_path: Path, ray_here: None
) -> None:
    out = tmp_path / "out"
    killed: list[int] = []
    earlier = worker_processes()  # of the tests before

    def kill_one() -> None:
        """As soon as some batches are answered, while others are not."""
        progress = out / "evaluate.progress.jsonl"
        until = time.monotonic() + 120
        while (
            not (workers := [one for one in worker_processes() if one not in earlier])
            and time.monotonic() < until
        ):
            time.sleep(0.02)
        while not (progress.exists() and progress.read_bytes().count(b"\n") >= 2):
            if time.monotonic() > until:
                return
            time.sleep(0.002)
        os.kill(workers[0], signal.SIGKILL)
        killed.append(progress.read_bytes().count(b"\n"))

    killer = Thread(target=kill_one)
    killer.start()
    evaluate(EvaluateConfig(**values(folder, out, workers="ray")))
    killer.join()
    assert killed and killed[0] < 30  # in the middle
    assert files(out) == plain


def test_an_error_in_a_worker_is_the_same_as_without_workers(
    folder: Path, tmp_path: Path, ray_here: None
) -> None:
    missing = values(folder, tmp_path / "out", workers=2, student=str(tmp_path / "none"))
    with pytest.raises(DataEngineError, match="no such folder; student must be a model folder"):
        evaluate(EvaluateConfig(**missing))
