"""A study's YAML: arms, seeds, the base experiment, and one line for each fault before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.studies.read_study import is_study, read_study
from dataengine_lib.studies.settings import StudySettings

DEMO = PROJECT_ROOT / "params" / "demo.yaml"


def write(folder: Path, **content: Any) -> Path:
    file = folder / "study.yaml"
    given = {"study": "s", "base": str(DEMO), "rounds": 1, "arms": {"a": None}, "seeds": 2} | content
    file.write_text(yaml.safe_dump(given))
    return file


def fault(file: Path, *sets: str) -> str:
    with pytest.raises(ParameterError) as caught:
        read_study(file, list(sets))
    return str(caught.value)


def test_runs_are_all_arms_of_a_seed_before_the_next(tmp_path: Path) -> None:
    study = read_study(
        write(tmp_path, arms={"a": None, "b": {"construct_queries": {"topk": 9}}}, seeds=[3, 5])
    )
    assert [run.folder for run in study.runs] == ["a/seed3", "b/seed3", "a/seed5", "b/seed5"]
    assert [run.experiment.head.seed for run in study.runs] == [3, 3, 5, 5]
    assert [run.experiment.sections["construct_queries"]["topk"] for run in study.runs] == [50, 9, 50, 9]
    assert study.base.head.rounds == 1


def test_both_forms_of_a_change(tmp_path: Path) -> None:
    changes = {"construct_queries": {"topk": 9, "targets": {"x": 1}}, "fine_tune.epochs": 1,
               "construct_queries.maxnum": 7}  # fmt: skip
    arm = read_study(write(tmp_path, arms={"b": changes})).arms[0]
    assert arm.changes == {
        "construct_queries": {"topk": 9, "targets": {"x": 1}, "maxnum": 7},
        "fine_tune": {"epochs": 1},
    }


def test_a_key_inside_a_value_is_set_beside_the_others_of_that_value(tmp_path: Path) -> None:
    base = yaml.safe_load(DEMO.read_text())
    base["construct_queries"]["targets"] = {"image_scene": 1}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    arms = {"b": {"construct_queries.targets.image_style": 2}}
    run = read_study(write(tmp_path, base="base.yaml", arms=arms)).runs[0]
    assert run.experiment.sections["construct_queries"]["targets"] == {"image_scene": 1, "image_style": 2}


def test_the_first_evaluation_has_the_seed_of_the_base_in_all_runs(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, seed=4, seeds=[1, 2]))
    for run in study.runs:
        configs = {item.label: item.config for item in study.planned(run, tmp_path)}
        assert configs["0_classify_questions"].seed == configs["round1/1_evaluate"].seed == 4  # type: ignore[attr-defined]
        assert configs["round1/5_fine_tune"].seed == run.seed + 1  # type: ignore[attr-defined]


def test_keys_of_the_study_and_of_set_replace_those_of_the_base(tmp_path: Path) -> None:
    file = write(tmp_path, construct_queries={"topk": 8, "maxnum": 6}, classify_questions=None)
    sections = read_study(file, ["construct_queries.maxnum=5"], "3").runs[0].experiment.sections
    assert (sections["construct_queries"]["topk"], sections["construct_queries"]["maxnum"]) == (8, 5)
    assert sections["construct_queries"]["encoder"] and sections["classify_questions"]["teacher"]


@pytest.mark.parametrize(
    ("given", "seeds"), [(3, [0, 1, 2]), ("0..2", [0, 1, 2]), (["0..1", 5], [0, 1, 5]), ([7], [7])]
)
def test_seeds(given: Any, seeds: list[int]) -> None:
    assert StudySettings.read({"study": "s", "arms": {"a": None}, "seeds": given}, "x").seeds == seeds


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"arms": {"a": {"construct_queries": {"topkk": 1}}}},
         "with arms.a of {file}: construct_queries: unknown key 'topkk'; nearest valid key: 'topk'"),
        ({"arms": {"a": {"construct_queries.topkk": 1}}}, "unknown key 'topkk'; nearest valid key: 'topk'"),
        ({"arms": {"a": {"fine_tuna": {"epochs": 1}}}},
         "{file}: arms.a: unknown section 'fine_tuna'; nearest valid one: 'fine_tune'"),
        ({"arms": {"a": {"rounds": 2}}}, "{file}: arms.a: rounds is the same for all arms; give it for the whole study"),
        ({"arms": {"a": {"fine_tune": 3}}}, "{file}: arms.a: fine_tune: must hold `key: value` lines (given: 3)"),
        ({"arms": {"a": {"fine_tune": {"epochs": 1}, "fine_tune.epochs": 2}}},
         "{file}: arms.a: fine_tune.epochs is given twice; keep one of them"),
        ({"arms": {"a": {"evaluate": {"questions": "x"}}}}, "questions is set by the workflow; remove it"),
        ({"arms": {"a": {"fine_tune": {"epochs": -1}}}}, "epochs"),
        ({"arms": {"../a": None}}, "'../a' is no name of an arm"),
        ({"arms": {"a": None, "A": None}}, "but for upper and lower case; rename one"),
        ({"arms": {}}, "arms"),
        ({"seeds": [1, 1]}, "seed 1 is there twice; give each once"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": 0}, "give 1 to 1000 seeds"),
        ({"seeds": "5..2"}, "5..2 is no range"),
        ({"parallel": 0}, "must be 1 or more, or ray"),
        ({"keep_checkpoints": "some"}, "keep_checkpoints"),
        ({"armz": {}}, "{file}: unknown key 'armz'; nearest valid key: 'arms'"),
        ({"until": {"no_type_gains": True}}, "{file}: until: all runs of a study have the same rounds"),
        ({"report": {"weak": 1}}, "{file}: report: unknown key 'weak'; nearest valid key: 'weak_types'"),
        ({"report": {"reference": "b"}}, "{file}: report: reference: b is no arm; give one of a"),
        ({"report": {"output": "x"}}, "{file}: report: output is set by the study; remove it"),
        ({"base": "none.yaml"}, "none.yaml: cannot be read"),
        ({"construct_queries": {"topkk": 1}}, "with {file}: construct_queries: unknown key 'topkk'"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    file = write(tmp_path, **content)
    found = fault(file)
    assert message.format(file=file) in found and len(found.splitlines()) == 1


def test_the_faults_of_all_arms_are_found_at_once(tmp_path: Path) -> None:
    arms = {"a": {"fine_tune": {"epoch": 1}}, "b": None, "c": {"evaluate": {"rank": "x"}}}
    lines = fault(write(tmp_path, arms=arms)).splitlines()
    assert ["arms.a of" in lines[0], "arms.c of" in lines[1], len(lines)] == [True, True, 2]


def test_a_fault_of_the_base_is_not_one_of_each_arm(tmp_path: Path) -> None:
    found = fault(write(tmp_path, arms={"a": None, "b": None}), "evaluate.stundent=x")
    assert found.count("nearest valid key: 'student'") == 1 and "--set" in found


def test_a_study_is_told_from_an_experiment(tmp_path: Path) -> None:
    assert is_study(write(tmp_path)) and not is_study(DEMO)
