"""The workflow: how the real steps are wired; running, skipping, resuming, failing on two small notebooks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_loop
import psutil
import pytest
from fake_loop import STEPS, ShoutConfig, make_loop, read_fake, run_fake, write_yaml
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.runs import workflow
from dataengine_lib.runs.execute_notebook import check_notebook
from dataengine_lib.runs.lock import run_lock
from dataengine_lib.runs.parameters import Experiment, read_experiment
from dataengine_lib.runs.precheck import check_paths, check_run, selected_range
from dataengine_lib.runs.workflow import plan

REAL_STEPS = workflow.STEPS
NOTEBOOKS = PROJECT_ROOT / "notebooks"


@pytest.fixture(autouse=True)
def own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sets in `workflow.STEPS` ends with it."""
    monkeypatch.setattr(workflow, "STEPS", REAL_STEPS)


def demo(*sets: str, rounds: int | None = None) -> Experiment:
    names = [step.name for step in REAL_STEPS]
    return read_experiment(PROJECT_ROOT / "params" / "demo.yaml", names, list(sets), rounds)


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("written.txt", "shouted.txt")
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.txt")) if p.name in names
    }


class TestPlan:
    def test_steps_are_in_the_order_of_the_loop(self) -> None:
        rounds = [
            f"round{n}/{name}"
            for n in (1, 2)
            for name in (
                "1_evaluate",
                "2_construct_queries",
                "3_generate_qa",
                "4_post_process",
                "5_fine_tune",
            )
        ]
        labels = [item.label for item in plan(demo(), Path("out"))]
        assert labels == ["0_classify_questions", *rounds, "final/1_evaluate", "6_compare_rounds"]

    def test_outputs_of_one_step_are_inputs_of_the_next(self) -> None:
        steps = {
            item.label: item.config.model_dump(mode="json") for item in plan(demo("seed=7"), Path("out"))
        }
        assert steps["round1/1_evaluate"]["questions"] == "out/aokvqa_classified.json"
        assert steps["round1/1_evaluate"]["student"].endswith("tiny-llava")
        assert steps["round2/1_evaluate"]["student"] == "out/round1/checkpoint"
        assert steps["final/1_evaluate"]["student"] == "out/round2/checkpoint"
        queries = [steps[f"round{n}/2_construct_queries"] for n in (1, 2)]
        assert queries[1]["weight"] == "out/round2/weight.json"
        assert [q["exclude_queries"] for q in queries] == [[], ["out/round1/gptvqa_prompt.json"]]
        assert [q["seed"] for q in queries] == [8, 9] and [q["round"] for q in queries] == [1, 2]
        assert [steps[f"round{n}/4_post_process"]["review"] for n in (1, 2)] == [
            "out/round1/review.json",
            "out/round2/review.json",
        ]
        shown = [steps[f"{place}/1_evaluate"]["teacher_queries"] for place in ("round1", "round2", "final")]
        first, second = (f"out/round{n}/gptvqa_prompt.json" for n in (1, 2))
        assert shown == [[], [first], [first, second]]
        assert queries[0]["questions"] == "out/aokvqa_classified.json"
        assert queries[0]["coco_embedding"] == queries[1]["coco_embedding"] == "out/coco_embedding"
        assert steps["round2/3_generate_qa"]["coco_dataset"] == queries[1]["coco_dataset"]
        tuned = steps["round2/5_fine_tune"]
        assert tuned["train_data"] == [f"out/round{n}/gptvqa_train_data.json" for n in (1, 2)]
        assert tuned["student"] == steps["round1/1_evaluate"]["student"], "starts from the first student"
        evaluations = [f"out/{place}/aokvqa_eval.json" for place in ("round1", "round2", "final")]
        assert steps["6_compare_rounds"]["evaluations"] == evaluations

    def test_without_step_0_the_questions_are_the_yamls(self) -> None:
        experiment = demo("evaluate.questions=mine.json")
        experiment.sections.pop("classify_questions")
        planned = plan(experiment, Path("out"))
        assert planned[0].label == "round1/1_evaluate"
        assert [str(item.config.questions) for item in planned if item.step.name == "evaluate"] == [
            "mine.json"
        ] * 3

    @pytest.mark.parametrize("name", ["demo", "coco", "aokvqa", "local_llm"])
    def test_shipped_parameters_are_valid(self, name: str) -> None:
        names = [step.name for step in REAL_STEPS]
        experiment = read_experiment(PROJECT_ROOT / "params" / f"{name}.yaml", names, [])
        assert experiment.head.run == name
        assert plan(experiment, Path("out"))[-1].label == "6_compare_rounds"

    def test_a_persons_decisions_are_an_input_that_need_not_be_there(self, tmp_path: Path) -> None:
        planned = plan(demo(), tmp_path)
        place = next(n for n, item in enumerate(planned) if item.label == "round1/4_post_process")
        assert planned[place].inputs()["review"] == [tmp_path / "round1" / "review.json"]
        assert tmp_path / "round1" / "review.json" not in planned[place].outputs()
        (tmp_path / "round1").mkdir()
        (tmp_path / "round1" / "gptvqa_result.jsonl").touch()
        (tmp_path / "aokvqa_classified.json").touch()
        images = tmp_path / "images"
        images.mkdir()
        planned[place].config.image_root = images
        check_paths(Path("x.yaml"), planned, place, place)

    def test_playground_is_put_into_paths(self) -> None:
        planned = plan(demo(), Path("out"), "cache/world")
        assert str(planned[0].config.questions) == "cache/world/aokvqa_playground.json"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("evaluate.batch_sise=3", "evaluate: unknown key 'batch_sise'; nearest valid key: 'batch_size'"),
            ("evaluate.batch_size=many", "evaluate: batch_size: "),
            ("evaluate.output_dir=x", "evaluate: output_dir is set by the workflow; remove it"),
            ("generate_qa.teacher=nobody", "generate_qa: teacher: not a teacher"),
        ],
    )
    def test_a_wrong_key_is_named_once_with_its_file(self, setting: str, message: str) -> None:
        with pytest.raises(ParameterError) as caught:
            plan(demo(setting), Path("out"))
        assert str(caught.value).startswith(f"{PROJECT_ROOT / 'params/demo.yaml'} with --set: {message}")
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                [
                    "evaluate.student=api:x",
                    "evaluate.rank=generate",
                    "evaluate.base_url=http://localhost:1/v1",
                ],
                "fine_tune.student: api:x cannot be",
            ),
            (["evaluate.adapter=data_demo"], "evaluate.adapter: fine_tune starts from"),
        ],
    )
    def test_what_cannot_be_fine_tuned_is_said_before_anything_runs(
        self, settings: list[str], message: str, tmp_path: Path
    ) -> None:
        planned = plan(demo(*settings), tmp_path)
        last = len(planned) - 1
        with pytest.raises(ParameterError, match=message):
            check_run(Path("mine.yaml"), planned, 0, last, NOTEBOOKS, tmp_path)
        stop = selected_range(planned, None, "round1/post_process")[1]
        check_run(Path("mine.yaml"), planned, 0, stop, NOTEBOOKS, tmp_path)  # up to there it can be run

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("construct_queries.targets.image_scen=3", "construct_queries.targets: unknown question type"),
            ("construct_queries.preview_type=scene", "construct_queries.preview_type: unknown question type"),
            ("construct_queries.targets={image_scene: 3, Image style: 4}", ""),
        ],
    )
    def test_a_misspelt_type_is_said_before_anything_runs(
        self, setting: str, message: str, tmp_path: Path
    ) -> None:
        planned = plan(demo(setting), tmp_path)
        if message:
            with pytest.raises(ParameterError, match=f"mine.yaml: {message} .*; nearest: 'image_scene'"):
                check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)
        else:
            check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (["second_reader=openai:gpt-4.1"], "OPENAI_API_KEY is not set; "),
            (["blind_reader=openai:gpt-4.1"], "OPENAI_API_KEY is not set; "),
            (["second_reader=openai:gpt-4.1", "second_answer=off"], ""),
            (["blind_reader=openai:mine", "base_url=http://localhost:1/v1"], ""),
            (["blind_reader=playground", "budget_usd=1"], ""),
            (
                ["blind_reader=openai:mine", "base_url=http://localhost:1/v1", "budget_usd=1"],
                "budget_usd: no price is known for openai:mine; add it to dataengine_lib/resources/prices.yaml",
            ),
        ],
    )
    def test_what_readers_lack_is_said_before_anything_runs(
        self, settings: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        planned = plan(demo(*(f"post_process.{setting}" for setting in settings)), tmp_path)
        if message:
            with pytest.raises(ParameterError) as caught:
                check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)
            assert str(caught.value).startswith(f"mine.yaml: post_process: {message}")
            assert "\n" not in str(caught.value)  # once, although every round has the step
            before = selected_range(planned, None, "round1/generate_qa")[1]
            check_run(Path("mine.yaml"), planned, 0, before, NOTEBOOKS, tmp_path)  # up to there it can be run
        else:
            check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)

    def test_a_type_of_the_questions_own_is_known(self, tmp_path: Path) -> None:
        record = {"question": "?", "choices": ["a", "b"], "correct_choice_idx": 0, "image_id": 1}
        (tmp_path / "q.json").write_text(json.dumps([record | {"question_type": "smells"}]))
        experiment = demo(f"evaluate.questions={tmp_path / 'q.json'}", "construct_queries.targets.smells=3")
        experiment.sections.pop("classify_questions")
        planned = plan(experiment, tmp_path)
        check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)

    def test_from_and_to_take_names_numbers_and_places(self) -> None:
        planned = plan(demo(), Path("out"))
        labels = [item.label for item in planned]
        first, last = selected_range(planned, "round2/evaluate", "5")
        assert (labels[first], labels[last]) == ("round2/1_evaluate", "round2/5_fine_tune")
        assert selected_range(planned, None, None) == (0, len(planned) - 1)
        with pytest.raises(
            ParameterError, match=r"--from evalate: no such step in this run; nearest: evaluate"
        ):
            selected_range(planned, "evalate", None)
        with pytest.raises(ParameterError, match="--to round1/evaluate: comes before"):
            selected_range(planned, "round2/evaluate", "round1/evaluate")


class TestRun:
    def test_runs_skips_and_runs_again_what_changed(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path)
        out = tmp_path / "runs" / "fake"
        state = run_fake(file)
        assert (out / "round1" / "shouted.txt").read_text() == "SOME WORDS 6"
        assert [step.status for step in state.steps] == ["done", "done"]
        written = read_json(out / "run.json")
        assert written["status"] == "done"
        assert [step["outputs"] for step in written["steps"]] == [
            ["round1/written.txt"],
            ["round1/shouted.txt"],
        ]
        assert 0 < written["overhead_seconds"] <= written["seconds"]
        for page in ("round1/0_write.html", "round1/1_shout.html", "index.html", "../index.html"):
            assert (out / page).is_file(), page
        manifest = read_json(out / "round1" / "1_shout.manifest.json")
        assert manifest["inputs"]["input"][0]["path"].endswith("round1/written.txt")
        assert len(manifest["outputs"][0]["sha256"]) == 64
        assert manifest["versions"]["dataengine"]

        assert [step.status for step in run_fake(file).steps] == ["skipped", "skipped"]

        (out / "round1" / "shouted.txt").write_text("tampered")
        assert [step.status for step in run_fake(file).steps] == ["skipped", "done"]
        assert (out / "round1" / "shouted.txt").read_text() == "SOME WORDS 6"

        state = run_fake(file, "write.text=new", stop="write")
        assert [step.status for step in state.steps] == ["done", "skipped"], "shown as it was, not run"
        assert [step.status for step in run_fake(file, "write.text=new").steps] == ["skipped", "done"]
        assert (out / "round1" / "shouted.txt").read_text() == "SOME NEW 6"

        repeated = run_fake(file, "write.text=new", start="write")
        assert [step.status for step in repeated.steps] == ["done", "skipped"], (
            "the same words, so nothing to shout"
        )

    def test_a_failing_step_keeps_its_notebook_and_what_was_made(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path, shout={"wrong": "ours"})
        out = tmp_path / "runs" / "fake"
        with pytest.raises(DataEngineError) as caught:
            run_fake(file)
        page = out / "round1" / "1_shout.html"
        message = "in.json: row 3: no image | second line"
        assert str(caught.value) == f"round1/1_shout failed: {message}; see {page}"
        assert caught.value.exit_code == 1
        assert "Traceback" in page.read_text() and "DataEngineError" in page.read_text()
        assert (out / "round1" / "1_shout.ipynb").is_file()
        assert (out / "round1" / "written.txt").read_text() == "some words 6"
        written = read_json(out / "run.json")
        assert (written["status"], written["error"]) == ("failed", f"round1/1_shout: {message}")
        assert [step["status"] for step in written["steps"]] == ["done", "failed"]

        with pytest.raises(
            DataEngineError, match=r"1_shout failed: ValueError: in\.json: row 3: no image; see"
        ):
            run_fake(file, "shout.wrong=other")
        fixed = run_fake(file, 'shout.wrong=""')
        assert [step.status for step in fixed.steps] == ["skipped", "done"]
        assert fixed.error == ""

    def test_killed_in_a_step_and_run_again_gives_the_same_files(self, tmp_path: Path) -> None:
        hold = tmp_path / "hold"
        file = make_loop(tmp_path, write={"hold": str(hold)})
        out = tmp_path / "runs" / "fake"
        hold.touch()
        environment = os.environ | {"FAKE_YAML": str(file)}
        process = subprocess.Popen([sys.executable, fake_loop.__file__], env=environment)
        kernels = wait_for_kernel(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert read_json(out / "run.json")["steps"][0]["status"] == "running"
        assert not (out / "round1" / "0_write.manifest.json").exists()
        hold.unlink()
        state = run_fake(file)
        assert not any(map(at_work, kernels)), "the killed run's kernel is gone first"
        assert [step.status for step in state.steps] == ["done", "done"]
        assert files_of(out) == {"round1/shouted.txt": b"SOME WORDS 6", "round1/written.txt": b"some words 6"}


def wait_for_kernel(process: "subprocess.Popen[bytes]") -> list[int]:
    """Pids of the kernel that `process` started, once there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended by itself"
        found = [
            p.pid
            for p in psutil.Process(process.pid).children()
            if "ipykernel_launcher" in " ".join(p.cmdline())
        ]
        if found:
            time.sleep(1)
            return found
        time.sleep(0.1)
    raise AssertionError("no kernel within two minutes")


def at_work(pid: int) -> bool:
    """Whether a process can still write: one that has ended keeps its pid until somebody takes note of it."""
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


class TestBeforeItRuns:
    @pytest.fixture(autouse=True)
    def fake_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workflow, "STEPS", STEPS)

    def test_a_missing_input_is_named_with_file_and_key(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path, rounds=2, write={"source": str(tmp_path / "gone.txt")})
        with pytest.raises(ParameterError) as caught:
            run_fake(file)
        assert (
            str(caught.value) == f"{file}: write.source: {tmp_path}/gone.txt does not exist; check the path"
        )
        assert not (tmp_path / "runs" / "fake" / "run.json").exists()

    def test_a_missing_template_is_answered_with_the_built_in_names(self, tmp_path: Path) -> None:
        workflow.STEPS = REAL_STEPS
        planned = plan(demo("construct_queries.template=params/prompts/v1.j2"), tmp_path)
        with pytest.raises(ParameterError) as caught:
            check_paths(Path("mine.yaml"), planned, 0, len(planned) - 1)
        message = "params/prompts/v1.j2 does not exist; give a file or a built-in name: v1, v2, vision"
        assert f"mine.yaml: construct_queries.template: {message}" in str(caught.value).splitlines()

    def test_a_relative_path_is_found_beside_the_yaml_or_above_params(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "params").mkdir()
        (tmp_path / "notes.txt").write_text("above")
        monkeypatch.chdir(tmp_path / "elsewhere")
        for folder, found in (
            ("params", tmp_path / "notes.txt"),
            ("", tmp_path / "notes.txt"),
            ("other", None),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            file = write_yaml(tmp_path / folder, write={"source": "notes.txt"})
            first = plan(read_fake(file), Path("out"))[0]
            assert first.config.source == (found or Path("notes.txt")), folder

    def test_from_needs_what_the_steps_before_made(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path)
        with pytest.raises(
            ParameterError, match=r"shout\.input: .*written\.txt does not exist; run the steps before"
        ):
            run_fake(file, start="shout")

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path)
        (tmp_path / "runs").write_text("a file where a folder should be")
        with pytest.raises(ParameterError, match=r"--out .*fake: cannot be written \(Not a directory\)"):
            run_fake(file)

    def test_two_runs_in_one_folder(self, tmp_path: Path) -> None:
        file = make_loop(tmp_path)
        out = tmp_path / "runs" / "fake"
        out.mkdir(parents=True)
        with run_lock(out), pytest.raises(ParameterError, match=f"process {os.getpid()} is at work here"):
            run_fake(file)

    def test_notebook_and_config_disagree(self, tmp_path: Path) -> None:
        make_loop(tmp_path)
        names = {*ShoutConfig.model_fields, "loudness"}
        with pytest.raises(ParameterError, match=r"1_shout\.ipynb: its parameters cell lacks 'loudness'"):
            check_notebook(tmp_path / "notebooks" / "1_shout.ipynb", names)


class TestParameters:
    def test_unknown_section(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=r"unknown section 'shoot'; nearest valid one: 'shout'"):
            read_fake(write_yaml(tmp_path, shoot={"wrong": "x"}))

    def test_bad_heads_and_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=r"fake\.yaml: rounds: .*\(given: 'two'\)"):
            read_fake(write_yaml(tmp_path, rounds="two"))
        with pytest.raises(ParameterError, match=r"fake\.yaml: run: "):
            read_fake(write_yaml(tmp_path, run="../elsewhere"))
        (tmp_path / "fake.yaml").write_text("run: [1, 2")
        with pytest.raises(ParameterError, match="is not valid YAML"):
            read_fake(tmp_path / "fake.yaml")
        with pytest.raises(ParameterError, match=r"none\.yaml: cannot be read"):
            read_fake(tmp_path / "none.yaml")

    def test_set_reads_yaml_values_and_names_its_faults(self, tmp_path: Path) -> None:
        file = write_yaml(tmp_path)
        experiment = read_fake(file, "rounds=3", "shout.wrong=[a, b]", "write.text=x=y")
        assert experiment.head.rounds == 3
        assert experiment.sections == {
            "write": {"source": str(tmp_path / "source.txt"), "text": "x=y"},
            "shout": {"wrong": ["a", "b"]},
        }
        with pytest.raises(ParameterError, match=r"--set shout: write STEP\.KEY=VALUE"):
            read_fake(file, "shout")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("write.text", "sk-proj-abcdefghijklmnop1234"),
            ("write.api_key", "plain"),
            ("write.text", "https://me:pass@host/v1"),
        ],
    )
    def test_secrets_are_refused_and_not_repeated(self, tmp_path: Path, key: str, value: str) -> None:
        with pytest.raises(ParameterError, match=f"{key}: looks like a secret") as caught:
            read_fake(write_yaml(tmp_path), f"{key}={value}")
        assert value not in str(caught.value)

    def test_settings_that_only_sound_secret_are_taken(self, tmp_path: Path) -> None:
        sets = ["write.max_output_tokens=600", "write.text=task-oriented-words-in-a-row"]
        assert read_fake(write_yaml(tmp_path), *sets).sections["write"]["max_output_tokens"] == 600
