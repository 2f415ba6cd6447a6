"""`until` ends the rounds after the comparison of one; the run stays ended, and goes on where the parameter changes."""

from pathlib import Path
from typing import Any

import fake_loop
import nbformat
import pytest
from experiments import demo_experiment

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs import workflow
from dataengine_lib.runs.execute_notebook import Executed
from dataengine_lib.runs.execution import run_steps
from dataengine_lib.runs.precheck import check_run, selected_range
from dataengine_lib.runs.state import RunState
from dataengine_lib.runs.summary import summary_lines
from dataengine_lib.runs.workflow import Step, plan

REASON = "no question type gained"


class MeasureConfig(StepConfig):
    output: Path


class TrainConfig(StepConfig):
    input: Path
    output: Path


class JudgeConfig(StepConfig):
    evaluations: list[Path]
    output: Path
    max_usd_per_point: float | None = None  # here: the round after which the rounds end


STEPS = (
    Step(1, "measure", MeasureConfig, when=("measure", "after"), writes={"output": "{here}/measured.txt"}),
    Step(5, "train", TrainConfig, when=("round",), reads={"input": "{here}/measured.txt"},
         writes={"output": "{here}/trained.txt"}),
    Step(6, "judge", JudgeConfig, when=("compare", "end"), reads={"evaluations": "{evaluated}/measured.txt"},
         writes={"output": "{here}/compare_rounds.json"},
         defaults={"max_usd_per_point": "{until.max_usd_per_point}"}),
)  # fmt: skip


def without_kernel(
    notebook: Path, output: Path, parameters: dict[str, Any], function: str, out: Path, *_: Any
) -> Executed:
    """What the three notebooks would do, at once."""
    file = Path(parameters["output"])
    file.parent.mkdir(parents=True, exist_ok=True)
    if function == "judge":
        stop = len(parameters["evaluations"]) - 1 == parameters["max_usd_per_point"]
        decision = {
            "stop": stop,
            "reason": f"stop, as {REASON}" if stop else "another round would ask about a",
        }
        empty = {"gained": [], "cost_usd": None, "usd_per_point": None, "weakest": []}
        write_json(file, {"next_round": decision | empty})
    else:
        file.write_text(function)
    nbformat.write(nbformat.v4.new_notebook(), output)
    return Executed(0.0, [])


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workflow, "STEPS", STEPS)
    monkeypatch.setattr(fake_loop, "STEPS", STEPS)
    monkeypatch.setattr(run_steps, "execute", without_kernel)
    (tmp_path / "notebooks").mkdir()
    for step in STEPS:
        source = "\n".join(f"{name} = ''" for name in step.config.model_fields)
        cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})]
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / f"{step.notebook}.ipynb"
        )
    (tmp_path / "fake.yaml").write_text("run: fake\nrounds: 3\nuntil:\n  max_usd_per_point: 1\n")
    return tmp_path / "fake.yaml"


def shown(state: RunState) -> dict[str, str]:
    return {step.label: step.status for step in state.steps}


def test_the_rounds_end_and_stay_ended_until_the_parameter_changes(loop: Path) -> None:
    out = loop.parent / "runs" / "fake"
    lines: list[str] = []
    state = fake_loop.run_fake(loop, print_line=lines.append)
    ended = ["round1/1_measure", "round1/5_train", "round2/1_measure", "round1/6_judge", "6_judge"]
    assert shown(state) == dict.fromkeys(ended, "done") and state.status == "done"
    assert not (out / "round2" / "trained.txt").exists()
    assert f"until: no round after round 1: {REASON}" in lines
    note = f"until ended the rounds after round 1 of 3: {REASON}"
    assert state.notes == [note] and state.stopped == REASON
    # the last comparison is of what was measured, without one more measurement of the same student
    manifest = read_json(out / "6_judge.manifest.json")
    assert len(manifest["parameters"]["evaluations"]) == 2
    assert note in (out / "index.html").read_text() and "round3" not in (out / "index.html").read_text()
    assert "6_judge.html" in (out / "round1" / "6_judge.html").read_text()
    # closing lines: without the table of step 6, which these steps do not make
    state.steps[-1].status = "waiting"
    assert f"note: {note}" in summary_lines(out, state)

    state = fake_loop.run_fake(loop)
    assert shown(state) == dict.fromkeys(ended, "skipped") and state.notes == [note]

    state = fake_loop.run_fake(loop, "until.max_usd_per_point=2")
    assert shown(state) == {
        "round1/1_measure": "skipped", "round1/5_train": "skipped", "round2/1_measure": "skipped",
        "round1/6_judge": "done", "round2/5_train": "done", "round3/1_measure": "done", "round2/6_judge": "done",
        "6_judge": "done",
    }  # fmt: skip
    state = fake_loop.run_fake(loop, "until.max_usd_per_point=9")
    assert list(shown(state))[-4:] == ["round2/6_judge", "round3/5_train", "final/1_measure", "6_judge"]
    assert state.notes == ["all 3 rounds ran; until did not end them before"] and not state.stopped


def test_from_and_to_beside_until(loop: Path) -> None:
    state = fake_loop.run_fake(loop, stop="round3/measure")
    assert shown(state)["6_judge"] == "waiting" and state.stopped == REASON  # --to comes before it
    with pytest.raises(
        ParameterError, match=r"--from round2/train: .* until ended the rounds: .*; leave --from out"
    ):
        fake_loop.run_fake(loop, start="round2/train")


@pytest.mark.parametrize("stop", ["6", "judge", "6_judge"])
def test_to_the_last_comparison_runs_it_also_where_until_ends_the_rounds(loop: Path, stop: str) -> None:
    state = fake_loop.run_fake(loop, stop=stop)
    assert state.stopped == REASON
    assert list(shown(state).items())[-2:] == [("round1/6_judge", "done"), ("6_judge", "done")]
    assert not any("as --to says" in note for note in state.notes)
    state = fake_loop.run_fake(loop, "until.max_usd_per_point=9", stop=stop)
    assert set(shown(state).values()) == {"done", "skipped"}


def test_the_real_loop_compares_each_round_before_the_next_one() -> None:
    experiment = demo_experiment("until={no_type_gains: true, max_usd_per_point: 0.5}", rounds=3)
    planned = {item.label: item.config.model_dump(mode="json") for item in plan(experiment, Path("out"))}
    labels = list(planned)
    for done in (1, 2):
        at = labels.index(f"round{done}/6_compare_rounds")
        assert labels[at - 1 : at + 2 : 2] == [
            f"round{done + 1}/1_evaluate",
            f"round{done + 1}/2_construct_queries",
        ]
    first, last = planned["round1/6_compare_rounds"], planned["6_compare_rounds"]
    assert first["evaluations"] == ["out/round1/aokvqa_eval.json", "out/round2/aokvqa_eval.json"]
    assert first["usage"] == ["out/round1/usage.json"] and first["output"] == "out/round1/compare_rounds.json"
    assert (first["no_type_gains"], first["max_usd_per_point"]) == (True, 0.5)
    assert len(last["evaluations"]) == 4 and len(last["usage"]) == len(last["post_process"]) == 3

    ended = plan(experiment, Path("out"), last_round=1)
    assert [item.label for item in ended][-3:] == [
        "round2/1_evaluate", "round1/6_compare_rounds", "6_compare_rounds",
    ]  # fmt: skip
    assert ended[-1].config.model_dump(mode="json")["evaluations"] == first["evaluations"]
    assert not any("6_compare" in item.label for item in plan(demo_experiment(rounds=3), Path("out"))[:-1])


def test_to_a_comparison_without_a_round_is_to_the_last_one() -> None:
    experiment = demo_experiment("until={no_type_gains: true}", rounds=3)
    planned = plan(experiment, Path("out"))
    for name in ("6", "compare_rounds", "6_compare_rounds"):
        assert selected_range(planned, None, name) == (0, len(planned) - 1)
    # with its round, and as the place to start from, it is the first one
    first = [item.label for item in planned].index("round1/6_compare_rounds")
    assert selected_range(planned, None, "round1/6") == (0, first)
    assert selected_range(planned, "6", "6") == (first, len(planned) - 1)


def test_the_price_of_a_point_needs_prices(tmp_path: Path) -> None:
    experiment = demo_experiment("until.max_usd_per_point=1", "generate_qa.teacher=openai:mine")
    planned = plan(experiment, tmp_path)
    with pytest.raises(ParameterError, match=r"until\.max_usd_per_point: no price is known for openai:mine"):
        check_run(experiment.file, planned, 0, len(planned) - 1, Path("notebooks"), tmp_path)


def test_a_misspelt_rule_is_an_error() -> None:
    with pytest.raises(ParameterError, match="no_type_gains"):
        demo_experiment("until.no_type_gain=true")
