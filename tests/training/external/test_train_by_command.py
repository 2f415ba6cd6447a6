"""Step 5 with `trainer: command`, on a trainer of the tests that really trains the tiny LLaVA."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fine_tuning import Make, row

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.external.command import TEMPLATE_SETTINGS, check_program
from dataengine_lib.training.external.settings import CommandSettings
from dataengine_lib.training.log import TrainLog

FAKE = str(Path(__file__).with_name("fake_trainer.py"))
COPY = ["{python}", FAKE, "{data}", "{student}", "{output}", "--copy"]


@pytest.fixture
def config(student: Path, images: Path) -> Make:
    def build(command: list[str] | str = COPY, rows: list[Any] | None = None, **more: Any) -> FineTuneConfig:
        file = write_json(images / "train.json", [row(n) for n in range(8)] if rows is None else rows)
        settings = {
            "student": str(student),
            "train_data": [file],
            "image_root": images,
            "output_dir": images / "checkpoint",
            "device": "cpu",
            "trainer": "command",
            "command": command,
        }
        return FineTuneConfig(**(settings | more))

    return build


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_trained_model_is_taken_over_and_logged(
    config: Make, student: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-lab-1")
    result = fine_tune(config(COPY[:-1], epochs=2))
    changed = weights(result.checkpoint)
    assert not all(torch.equal(changed[name], one) for name, one in weights(student).items())
    load_student(str(result.checkpoint), "cpu")
    log = read_json(result.checkpoint / "train_log.json", TrainLog)
    assert (log.steps, len(log.loss), log.mix[0].drawn) == (1, 1, 16)
    assert log.method == "command"
    words = (result.checkpoint / "trainer.log").read_text()
    assert words.splitlines()[:4] == ["rows: 16", "key ***", "100%", "red"]
    assert "rows: 16\nkey ***\n" in capsys.readouterr().out
    names = {path.name for path in result.checkpoint.iterdir()}
    assert {"config.json", "model.safetensors", "train_log.json", "train_time.json"} <= names
    assert "optimizer.pt" not in names, "the state of an optimizer is no part of a model"
    assert [path.name for path in result.checkpoint.parent.glob("*checkpoint*")] == ["checkpoint"]


@pytest.mark.parametrize("keep", [False, True])
def test_an_adapter_is_merged_or_kept(config: Make, student: Path, keep: bool) -> None:
    result = fine_tune(config([*COPY[:-1], "--adapter"], keep_adapter=keep))
    if keep:
        assert not (result.checkpoint / "model.safetensors").exists()
        model = load_student(str(student), "cpu", adapter=result.checkpoint).model
    else:
        model = load_student(str(result.checkpoint), "cpu").model
    before = load_student(str(student), "cpu").model.state_dict()
    changed = {name for name, one in model.state_dict().items() if not torch.equal(one, before[name])}
    assert changed and all("q_proj" in name for name in changed)
    # 2 layers, rank 2, 32 inputs and outputs
    assert result.log.trained_parameters == 2 * 2 * (32 + 32)


def test_the_last_numbered_checkpoint_counts_and_a_missing_processor_is_the_students(
    config: Make, student: Path
) -> None:
    both = (
        f"import subprocess, sys; [subprocess.run([sys.executable, {FAKE!r}, *sys.argv[1:4], '--copy', '--below',"
        " 'v0/checkpoint-%d' % n, '--only', 'config.json', 'model.safetensors'], check=True) for n in (9, 10)]"
    )
    result = fine_tune(config(["{python}", "-c", both, "{data}", "{student}", "{output}"]))
    load_student(str(result.checkpoint), "cpu")
    assert (result.checkpoint / "tokenizer.json").is_file()


def test_a_failing_command_is_one_line_with_its_last_lines(config: Make, images: Path) -> None:
    with pytest.raises(DataEngineError) as failed:
        fine_tune(config([*COPY, "--fail", "3"]))
    text = str(failed.value)
    assert text.endswith(f"its whole log: {images / 'checkpoint.trainer/trainer.log'}")
    assert "\n" not in text and "ended with exit status 3; its last lines: red / " in text
    assert "in forward / RuntimeError: CUDA out of memory;" in text
    assert not (images / "checkpoint").exists() and not (images / ".checkpoint.unfinished").exists()
    with pytest.raises(DataEngineError, match="was ended by SIGKILL, as systems do when memory runs out"):
        fine_tune(config([*COPY, "--kill-self"]))


def test_the_earlier_checkpoint_stays_when_the_command_fails(config: Make) -> None:
    first = fine_tune(config()).checkpoint
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    with pytest.raises(DataEngineError, match="exit status 1"):
        fine_tune(config([*COPY, "--fail", "1"]))
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "tokenizer.json"], r"left no model and no adapter here \(optimizer.pt, tokenizer.json"),
        (["--only", "config.json"], "no weights beside config.json"),
    ],
)
def test_a_checkpoint_that_cannot_be_loaded_is_refused_and_stays_beside(
    config: Make, images: Path, more: list[str], message: str
) -> None:
    with pytest.raises(DataEngineError, match=message):
        fine_tune(config([*COPY, *more]))
    assert not (images / "checkpoint").exists()
    assert (images / "checkpoint.trainer/output" / more[-1]).is_file()


def test_a_finished_training_is_not_run_again(
    config: Make, images: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checkpoint lacked a file; with that file, only the check is made once more."""
    lacking = config([*COPY, "--only", "config.json"])
    with pytest.raises(DataEngineError, match="what the command wrote stays in"):
        fine_tune(lacking)
    output = images / "checkpoint.trainer/output"
    (output / "model.safetensors").write_bytes((student / "model.safetensors").read_bytes())
    capsys.readouterr()
    load_student(str(fine_tune(lacking).checkpoint), "cpu")
    assert "this command has been run on this data" in capsys.readouterr().out
    # other data: trained anew
    with pytest.raises(DataEngineError, match="no weights beside"):
        fine_tune(config([*COPY, "--only", "config.json"], epochs=2))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_an_interrupt_stops_the_whole_process_group(config: Make, images: Path) -> None:
    ids = images / "ids"
    run, processes = started(config([*COPY, "--wait", str(ids)]), ids)
    run.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in run.communicate(timeout=60)[1]
    assert not any(map(alive, processes))
    assert not (images / "checkpoint").exists()


def started(config: FineTuneConfig, ids: Path) -> tuple["subprocess.Popen[str]", list[int]]:
    """Step 5 in a process of its own, and the ids of its trainer's processes, which wait."""
    code = (
        "import sys; from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune\n"
        "fine_tune(FineTuneConfig.model_validate_json(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, config.model_dump_json()]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (ids.is_file() and ids.read_text()):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.05)
    processes = [int(one) for one in ids.read_text().split()]
    assert all(map(alive, processes))
    return run, processes


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_after_a_kill_no_second_trainer_starts_beside_the_first(config: Make, images: Path) -> None:
    """SIGKILL of step 5 leaves its trainer at work."""
    ids = images / "ids"
    run, processes = started(config([*COPY, "--wait", str(ids)]), ids)
    try:
        run.kill()
        run.communicate()
        with pytest.raises(
            DataEngineError, match=rf"process {processes[0]} of an earlier run still works in"
        ):
            fine_tune(config())
        assert not (images / "checkpoint").exists()
        assert (images / "checkpoint.trainer/data/dataengine.json").is_file()
    finally:
        os.killpg(processes[0], signal.SIGKILL)
    while any(map(alive, processes)):
        time.sleep(0.05)
    load_student(str(fine_tune(config()).checkpoint), "cpu")


def test_values_are_never_read_by_a_shell_or_a_second_time(config: Make, student: Path, images: Path) -> None:
    folder = images / "$(touch bad) {output}"
    folder.mkdir()
    os.symlink(student, folder / "student")
    template = images / "config.json"
    template.write_text('{"student": {{ student | tojson }}, "rate": {{ learning_rate }}}')
    show = "import json, sys; print(sys.argv[1], json.load(open(sys.argv[2]))['student'])"
    with pytest.raises(DataEngineError, match="left no model"):
        fine_tune(
            config(
                ["{python}", "-c", show, "{student}", "{config}"],
                command_config=template,
                student=str(folder / "student"),
                command_folder=folder,
            )
        )
    log = (images / "checkpoint.trainer/trainer.log").read_text()
    assert log == f"{folder}/student {folder}/student\n"
    assert not list(images.rglob("bad"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"command": ""}, "trainer: command needs command"),
        ({"command": "train {dtaa}"}, r"unknown placeholder \{dtaa\}; nearest valid one: \{data\}"),
        ({"command": "train {data} > log"}, "'>' is for a shell, which is not used"),
        ({"command": "train 'open"}, "No closing quotation"),
        ({"trainer": "own"}, "command: needs trainer: command"),
        (
            {"trainer": "own", "command": "", "command_format": "swift"},
            "command_format: needs trainer: command",
        ),
        ({"command_format": "minigpt4", "text_formats": ["Q-A", "QM-A"]}, "has one text format: Q-A or"),
    ],
)
def test_settings_that_cannot_work_are_refused(config: Make, more: dict[str, Any], message: str) -> None:
    settings = json.loads(config().model_dump_json()) | more
    with pytest.raises(ParameterError, match=message):
        FineTuneConfig.read(settings, "fine_tune")


# what step 5 itself does with the rows and the checkpoint, whoever trains
USED = {
    "student", "start_from", "train_data", "image_root", "output_dir", "base_data", "base_image_root", "base_share",
    "questions", "evaluation_image_root", "text_formats", "shuffle_options", "epochs", "max_steps", "max_bad_share",
    "seed", "device", "keep_adapter", "new_data", "steps", "evaluations", "panel", "panels",
    "replay_types",
    *CommandSettings.model_fields,
}  # fmt: skip


def test_parameters_that_another_trainer_would_not_see_are_refused(config: Make) -> None:
    given: dict[str, Any] = {
        "adapter": "owner/lora", "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": ["q_proj"],
        "train_parts": ["projector"], "projector_rate": 1e-3, "gradient_checkpointing": True, "quantize": "4bit",
        "attention": "eager",
        "dtype": "float32", "clip": 0.5, "workers": 2, "save_steps": 5, "keep_best": True, "report_to": ["wandb"],
        "eval_share": 0.1, "max_length": 99, "processes": 2, "accelerate_config": "a.yaml",
    }  # fmt: skip
    assert {*given, *TEMPLATE_SETTINGS} | USED == FineTuneConfig.model_fields.keys()
    settings = json.loads(config().model_dump_json())
    for name, value in given.items():
        with pytest.raises(
            ParameterError, match=rf"^fine_tune: ({name}: for trainer: own|.*{name}) .*"
        ) as caught:
            FineTuneConfig.read(settings | {name: value}, "fine_tune")
        assert "trainer: own" in str(caught.value) or name == "keep_best"
    with pytest.raises(
        ParameterError, match="workers and save_steps: for trainer: own alone; leave this out"
    ):
        FineTuneConfig.read(settings | {"workers": 2, "save_steps": 5}, "fine_tune")


def test_settings_that_the_trainers_config_does_not_name_are_warned_of(config: Make, images: Path) -> None:
    template = images / "config.yaml"
    template.write_text("{% if warmup %}rate: {{ learning_rate }}{% endif %}")
    changed = {
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "scheduler": "linear",
        "lora_rank": 4,
        "batch_size": 4,
        "seed": 1,
    }
    result = fine_tune(config(command_config=template, **changed))
    (warning,) = [one for one in result.warnings if "other trainer" in one]
    assert warning.startswith("not used by the other trainer: lora_rank, batch_size, scheduler; name them in")
    assert not any("other trainer" in one for one in fine_tune(config()).warnings)
    (warning,) = [
        one
        for one in fine_tune(config(batch_size=4, max_steps=1, warmup=0)).warnings
        if "other trainer" in one
    ]
    assert "other trainer: warmup; " in warning


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("no-such-trainer {data}", {}, "no-such-trainer: not found; install it, or give its whole path"),
        ("{python} {config}", {}, r"\{config\} needs command_config"),
        ("{python} {image_list}", {}, r"\{image_list\} needs command_format: minigpt4"),
        ("{python}", {"command_folder": Path("/nowhere/checkout")}, "/nowhere/checkout: not found"),
        ("{python}", {"command_config": Path("/nowhere/c.yaml")}, "check command_config"),
    ],
)
def test_what_is_missing_is_named(config: Make, command: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        fine_tune(config(command, **more))


def test_a_missing_program_is_known_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("")
    for command, folder in (("{python} x", None), ("bash x", tmp_path), ("./train.sh", tmp_path)):
        check_program(command, folder)
    for command, folder in (("no-such-trainer", None), ("./train.sh", None), ("bash", tmp_path / "gone")):
        with pytest.raises(ParameterError, match="not found; "):
            check_program(command, folder)


def test_a_folder_of_somebody_else_is_not_touched(config: Make, images: Path) -> None:
    (images / "checkpoint.trainer").mkdir()
    (images / "checkpoint.trainer/letter.txt").write_text("dear")
    with pytest.raises(ParameterError, match="is not a folder of this step"):
        fine_tune(config())
    assert (images / "checkpoint.trainer/letter.txt").read_text() == "dear"


def test_rows_that_a_trainer_cannot_read_are_left_out_and_counted(config: Make, images: Path) -> None:
    (images / "text.png").write_text("<html>")
    rows = [row(n) for n in range(8)]
    rows += [row(0, image_path="text.png", image_id=None), row(1, question="What does <image> mean?")]
    result = fine_tune(config(rows=rows, max_bad_share=0.5))
    assert result.log.skipped == {"image cannot be opened": 1, "text with an image token": 1}
    assert result.log.mix[0].drawn == 10


def test_answers_of_the_trainers_own_evaluation_stand_in_for_a_model(
    config: Make, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """MiniGPT-4's models cannot be loaded by step 1, which reads what its evaluation wrote."""
    questions = [row(n, question_id=str(n), question="Which shape?") for n in range(4)]
    answered = [
        {**one, "idx": one["question_id"], "model_answer": one["choices"][n and one["correct_choice_idx"]]}
        for n, one in enumerate(questions)
    ]
    file = write_json(tmp_path_factory.mktemp("answers") / "aokvqa_eval.json", answered)
    command = ["{python}", "-c", "import shutil, sys; shutil.copy(*sys.argv[1:])", str(file), "{output}"]
    result = fine_tune(config(command, student=f"recorded:{file}", command_format="minigpt4"))
    scored = write_json(images / "questions.json", questions)
    given = {"questions": scored, "image_root": images, "output_dir": images / "scored"}
    evaluated = evaluate(EvaluateConfig(student=str(result.checkpoint), **given))
    assert [one.correct for one in evaluated.answers] == [True] * 4
    with pytest.raises(ParameterError, match=r"holds the answers of another trainer's evaluation: .*rank"):
        evaluate(EvaluateConfig(student=str(result.checkpoint), rank="letter", **given))
    write_json(file, {"no": "answers"})
    with pytest.raises(DataEngineError, match="has no predictions in a supported format"):
        fine_tune(config(command))
