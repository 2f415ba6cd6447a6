"""What is checked before a run: which steps, keys of servers, prices, types, files, notebooks."""

import json
import os
from pathlib import Path

import pytest
from experiments import demo_experiment
from fake_loop import STEPS, ShoutConfig, make_loop, run_fake
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs import workflow
from dataengine_lib.runs.execute_notebook import check_notebook
from dataengine_lib.runs.lock import run_lock
from dataengine_lib.runs.precheck import check_paths, check_run, selected_range
from dataengine_lib.runs.workflow import plan

NOTEBOOKS = PROJECT_ROOT / "notebooks"
# attention is a setting of the own trainer, which the demo sets
OTHER_TRAINER = ("fine_tune.trainer=command", "fine_tune.attention=auto")


class TestRealSteps:
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
            (
                [*OTHER_TRAINER, "fine_tune.command=no-such-trainer {data}"],
                "fine_tune.command: no-such-trainer: not found; install it",
            ),
            (
                ["fine_tune.method=lora", "fine_tune.quantize=4bit", "fine_tune.device=cpu"],
                "mine.yaml: fine_tune: quantize: 4bit needs",
            ),
            (
                ["fine_tune.accelerate_config=nowhere.yaml"],
                r"\A[^\n]*nowhere\.yaml does not exist[^\n]*\Z",
            ),
        ],
    )
    def test_what_cannot_be_fine_tuned_is_said_before_anything_runs(
        self, settings: list[str], message: str, tmp_path: Path
    ) -> None:
        planned = plan(demo_experiment(*settings), tmp_path)
        last = len(planned) - 1
        with pytest.raises(ParameterError, match=message):
            check_run(Path("mine.yaml"), planned, 0, last, NOTEBOOKS, tmp_path)
        stop = selected_range(planned, None, "round1/post_process")[1]
        check_run(Path("mine.yaml"), planned, 0, stop, NOTEBOOKS, tmp_path)  # up to there it can be run

    @pytest.mark.parametrize(
        ("trainer", "settings", "message"),
        [
            ("cp {data} {output}/aokvqa_eval.json", ["evaluate.blind=true"], "evaluate: .*; leave out blind$"),
            ("true {data}", ["fine_tune.command_format=minigpt4", "fine_tune.text_formats=[QM-A]",
                             "evaluate.panel={a: {questions: data_demo/aokvqa_v1p0_val.json, image_root: data_demo}}",
                             "evaluate.robust=circular"], "evaluate: .*; leave out robust and panel$"),
            ("cp {data} {output}/aokvqa_eval.json", ["post_process.difficulty=mark"], "post_process: .*difficulty to off$"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_asked_of_answers_alone_is_said_before_anything_runs(
        self, trainer: str, settings: list[str], message: str, tmp_path: Path
    ) -> None:
        sets = [*OTHER_TRAINER, f"fine_tune.command={trainer}"]
        planned = plan(demo_experiment(*sets, *settings), tmp_path)
        last = len(planned) - 1
        # the same in every round is one line
        with pytest.raises(ParameterError, match=rf"\Amine\.yaml: {message}") as error:
            check_run(Path("mine.yaml"), planned, 0, last, NOTEBOOKS, tmp_path)
        assert "trainer returns the answers of its own evaluation" in str(error.value)
        assert len(str(error.value).splitlines()) == 1
        # the student of the first round is a model, and another trainer's checkpoint is one as well
        stop = selected_range(planned, None, "round1/fine_tune")[1]
        check_run(Path("mine.yaml"), planned, 0, stop, NOTEBOOKS, tmp_path)
        own = plan(
            demo_experiment(*OTHER_TRAINER, "fine_tune.command=true {data}", *settings[-1:]),
            tmp_path,
        )
        check_run(Path("mine.yaml"), own, 0, last, NOTEBOOKS, tmp_path)

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
        planned = plan(demo_experiment(setting), tmp_path)
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
        planned = plan(demo_experiment(*(f"post_process.{setting}" for setting in settings)), tmp_path)
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
        experiment = demo_experiment(
            f"evaluate.questions={tmp_path / 'q.json'}", "construct_queries.targets.smells=3"
        )
        experiment.sections.pop("classify_questions")
        planned = plan(experiment, tmp_path)
        check_run(Path("mine.yaml"), planned, 0, len(planned) - 1, NOTEBOOKS, tmp_path)

    def test_from_and_to_take_names_numbers_and_places(self) -> None:
        planned = plan(demo_experiment(), Path("out"))
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

    def test_a_missing_price_table_is_answered_with_the_built_in_one(self, tmp_path: Path) -> None:
        planned = plan(demo_experiment("generate_qa.prices=none.yaml"), tmp_path)
        with pytest.raises(ParameterError) as caught:
            check_paths(Path("mine.yaml"), planned, 0, len(planned) - 1)
        message = "none.yaml does not exist; give a file, or leave `prices` out for the built-in table"
        assert f"mine.yaml: generate_qa.prices: {message}" in str(caught.value).splitlines()

    def test_a_missing_template_is_answered_with_the_built_in_names(self, tmp_path: Path) -> None:
        planned = plan(demo_experiment("construct_queries.template=params/prompts/v1.j2"), tmp_path)
        with pytest.raises(ParameterError) as caught:
            check_paths(Path("mine.yaml"), planned, 0, len(planned) - 1)
        message = "params/prompts/v1.j2 does not exist; give a file or a built-in name: v1, v2, vision"
        assert f"mine.yaml: construct_queries.template: {message}" in str(caught.value).splitlines()


class TestFakeSteps:
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
        with run_lock(out), pytest.raises(ParameterError, match=f"process {os.getpid()} is running here"):
            run_fake(file)

    def test_notebook_and_config_disagree(self, tmp_path: Path) -> None:
        make_loop(tmp_path)
        names = {*ShoutConfig.model_fields, "loudness"}
        with pytest.raises(ParameterError, match=r"1_shout\.ipynb: its parameters cell lacks 'loudness'"):
            check_notebook(tmp_path / "notebooks" / "1_shout.ipynb", names)
