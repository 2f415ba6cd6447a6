"""The runs of POPE, MME and VQAv2 that docs/question_kinds.md shows, on small files in the public layouts: through
`dataengine run` and papermill, with scores that are those of the public scripts on the same answers."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from official_scores.vqa import official_score
from official_scores.yes_no import official_mme, official_pope
from project import PROJECT_ROOT
from whole_runs.forked_kernels import fork_kernels
from whole_runs.public_files import write_data, write_mme, write_pope, write_vqav2

from dataengine_lib.cli import main
from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import OPEN, YES_NO, Answer, TrainRecord
from dataengine_lib.playground.server import serve
from dataengine_lib.playground.teacher import reply, structured_reply

GUIDE = (PROJECT_ROOT / "docs" / "question_kinds.md").read_text(encoding="utf-8")
YAMLS = {yaml.safe_load(text)["run"]: text for text in re.findall(r"```yaml\n(.+?)```", GUIDE, re.DOTALL)}
MODELS = PROJECT_ROOT / "data_demo" / "models"
# the guide's models cannot be had offline, and eight queries are enough here
SMALL = {
    "evaluate.student": MODELS / "tiny-llava",
    "construct_queries.encoder": MODELS / "tiny-clip",
    "construct_queries.maxnum": 8,
    "fine_tune.max_steps": 2,
    "fine_tune.batch_size": 4,
    "rounds": 1,
}
Scores = dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder `data` of the guide's YAMLs; the teacher is the playground's script behind OpenAI's interface."""
    folder = write_data(tmp_path_factory.mktemp("kinds"))
    write_pope(folder)
    write_mme(folder)
    write_vqav2(folder)
    with pytest.MonkeyPatch.context() as patch, serve(reply, structured=structured_reply) as server:
        patch.setenv("OPENAI_API_KEY", "sk-none")
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        patch.chdir(folder.parent)
        fork_kernels(patch)
        yield folder


def run(name: str, patch: pytest.MonkeyPatch, **more: Any) -> Path:
    """`dataengine run` of the guide's YAML of this name; returns the folder of the run."""
    Path(f"{name}.yaml").write_text(YAMLS[name], encoding="utf-8")
    sets = [f"--set={key}={value}" for key, value in (SMALL | more).items()]
    patch.setattr(sys, "argv", ["dataengine", "run", f"{name}.yaml", "--out", name, *sets])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return Path(name)


def of_mme(data: Path, answers: list[Answer], scores: Scores) -> None:
    table = [line.split("\t") for line in (data / "mme" / "MME.tsv").read_text().splitlines()[1:]]
    given = {answer.question_id: text_of(answer) for answer in answers}
    # the script reads a task's lines in the order of the file
    rows = [(task, right, given[index]) for index, task, _, _, right in table if index in given]
    assert len(rows) == len(answers)
    tasks, sums = official_mme(rows)
    found = scores["yes_no"]["mme"]
    assert found["unpaired"] == 0 and found["categories"].keys() == tasks.keys() == {"existence", "color"}
    for task, expected in tasks.items():
        one = found["categories"][task]
        values = tuple(one[name]["value"] for name in ("accuracy", "accuracy_plus", "score"))
        assert values == pytest.approx(expected, abs=1e-4)
    assert found["sums"]["perception"]["value"] == pytest.approx(sums["perception"], abs=1e-3)


def of_pope(data: Path, answers: list[Answer], scores: Scores) -> None:
    lines = (data / "coco_pope_adversarial.json").read_text().splitlines()
    labels = {str(row["question_id"]): row["label"] for row in map(json.loads, lines)}
    expected = official_pope([(labels[answer.question_id], text_of(answer)) for answer in answers])
    found = {name: scores["yes_no"]["pope"][name]["value"] for name in expected}
    assert found == pytest.approx(expected, abs=1e-4)


def of_vqav2(data: Path, answers: list[Answer], scores: Scores) -> None:
    rows = read_json(data / "v2_mscoco_val2014_annotations.json")["annotations"]
    people = {str(row["question_id"]): [one["answer"] for one in row["answers"]] for row in rows}
    expected = [official_score(answer.model_answer, people[answer.question_id]) for answer in answers]
    assert [answer.score for answer in answers] == pytest.approx(expected, abs=1e-6)
    found = scores["open"]["by_rule"]["VQA accuracy"]
    assert found["questions"] == len(answers)
    assert found["score"]["value"] == pytest.approx(sum(expected) / len(expected), abs=1e-4)


def text_of(answer: Answer) -> str:
    """What the scripts would be given: what the student wrote, or the word that it ranked first."""
    return answer.written or answer.model_answer


@pytest.mark.parametrize(
    ("name", "kind", "more", "scores_are_official"),
    [
        # this student, which was trained on options, writes neither yes nor no
        ("pope", YES_NO, {"evaluate.max_failed_share": 1}, of_pope),
        ("mme", YES_NO, {"evaluate.rank": "text"}, of_mme),
        ("vqav2", OPEN, {}, of_vqav2),
    ],
)
def test_the_guide_s_run_has_the_public_scripts_scores(
    name: str,
    kind: str,
    more: dict[str, Any],
    scores_are_official: Callable[[Path, list[Answer], Scores], None],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = run(name, monkeypatch, **more)
    steps = read_json(out / "run.json")["steps"]
    assert [step["status"] for step in steps] == ["done"] * (8 if "classify_questions" in YAMLS[name] else 7)
    for place in ("round1", "final"):
        answers: list[Answer] = read_json(out / place / "aokvqa_eval.json", list[Answer])
        assert {answer.answer_kind for answer in answers} == {kind}
        splits = read_json(out / place / "metrics.json")["splits"]
        assert splits.keys() == {"diagnose", "holdout"}
        for split, scores in splits.items():
            scores_are_official(data, [answer for answer in answers if answer.split == split], scores)
    queries = read_json(out / "round1" / "gptvqa_prompt.json")
    assert len(queries) == SMALL["construct_queries.maxnum"]
    assert {query["answer_kind"] for query in queries} == {kind}
    replies = read_jsonl(out / "round1" / "gptvqa_result.jsonl", dict)
    records: list[TrainRecord] = read_json(out / "round1" / "gptvqa_train_data.json", list[TrainRecord])
    assert len(replies) == len(queries) and len(records) >= 4
    assert {record.answer_kind for record in records} == {kind}
    if kind == YES_NO:
        assert {record.correct_choice_idx for record in records} == {0, 1}
    after = [answer for answer in answers if answer.split == "holdout"]
    compared = read_json(out / "compare_rounds.json")["rounds"][-1]["overall"]
    assert compared["total"] == len(after)
    assert compared["accuracy"] == pytest.approx(sum(answer.score for answer in after) / len(after), abs=1e-4)
    run(name, monkeypatch, **more)  # also where step 1 has unpacked the images of a table into its image_root
    assert {step["status"] for step in read_json(out / "run.json")["steps"]} == {"skipped"}
