"""What the README and docs/experiments.md promise is there."""

import json
import re
from pathlib import Path

import yaml
from experiments import demo_experiment
from PIL import Image
from project import PROJECT_ROOT
from tiny_families import FAMILIES, IMAGE_REUSE

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import read_json
from dataengine_lib.evaluation.probes.panel import read_panel
from dataengine_lib.evaluation.studies.figures import StudyFigures
from dataengine_lib.evaluation.studies.markdown import markdown_table
from dataengine_lib.runs import doctor, precheck
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.workflow import STEPS, STUDY, first_configs, plan
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.steps.generate_qa import GenerateQaConfig
from dataengine_lib.studies.read_study import read_study
from dataengine_lib.studies.settings import StudySettings
from dataengine_lib.training.base_data import BaseData
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.texts import CAPTION_INSTRUCTIONS

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (PROJECT_ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
BOTH = README + EXPERIMENTS


def test_every_notebook_is_listed_with_what_it_answers():
    listed = re.findall(r"^\| `(\d_\w+)` \| (.+\?) \|$", README, re.M)
    assert [name for name, _ in listed] == [step.notebook for step in [*STEPS, STUDY]]


def test_the_first_page_of_jupyterlab_links_all_notebooks_and_experiments():
    folder = PROJECT_ROOT / "notebooks"
    linked = re.findall(r"\]\(([^)]+)\)", (folder / "start.md").read_text(encoding="utf-8"))
    by_runs = "../reports/index.html"
    assert [link for link in linked if link != by_runs and not (folder / link).is_file()] == []
    notebooks = {path.name for path in folder.glob("*.ipynb")}
    experiments = {f"../params/{path.name}" for path in (PROJECT_ROOT / "params").glob("*.yaml")}
    assert len(notebooks) > 8 and notebooks | experiments | {by_runs} <= set(linked)


def test_the_file_tree_is_true():
    tree = README.split("## Where things are")[1].split("```")[1]
    folder = ""
    for line in tree.strip().splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        path = name if not line.startswith(" ") else folder + name
        assert (PROJECT_ROOT / path).exists(), path
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README):
        assert (PROJECT_ROOT / picture).is_file(), picture


def test_every_make_target_and_parameter_file_it_names_exists():
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (\w+)", BOTH)):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for file in set(re.findall(r"params/\w+\.yaml", BOTH)):
        assert (PROJECT_ROOT / file).is_file(), file


def test_every_verb_it_names_exists():
    from typer.main import get_command

    from dataengine_lib.cli import app

    cli = "".join(
        (PROJECT_ROOT / "dataengine_lib" / f"{name}.py").read_text()
        for name in ("cli", "cli_files", "cli_steps")
    )
    named = set(re.findall(r"dataengine ([a-z-]+) ", BOTH))
    assert {"run", "plan", "doctor", "evaluate"} <= named
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert all(verb in known or verb.replace("-", "_") in cli for verb in named)


def test_it_names_nothing_that_changes_from_machine_to_machine():
    assert not re.search(r"/home/|/root/|/work/|/tmp/", BOTH)


def test_the_families_it_names_are_those_that_are_tested():
    rows = re.findall(r"^\| `([a-z ]+)` \| [^|]+ \| ([^|]+) \|$", EXPERIMENTS, re.M)
    named = {re.sub(r"\W", "", name).lower(): way for way, names in rows for name in names.split(",")}
    tested = {re.sub(r"_", "", name): IMAGE_REUSE[name] for name in FAMILIES}
    assert named == tested | {"llava15": "keys and values"}  # LLaVA-1.5 has tests of its own


def test_the_guide_to_teachers_names_what_is_there():
    guide = (PROJECT_ROOT / "docs" / "teachers.md").read_text(encoding="utf-8")
    assert "(docs/teachers.md)" in README and "(teachers.md)" in EXPERIMENTS
    files = set(re.findall(r"\b(?:params|tests|docs)/[\w/]+\.\w+", guide))
    assert "params/local_llm.yaml" in files
    assert all((PROJECT_ROOT / file).is_file() for file in files), files
    assert '".[local-llm]"' in guide and "\nlocal-llm = " in (PROJECT_ROOT / "pyproject.toml").read_text()
    assert not re.search(r"/home/|/root/|/work/|/tmp/", guide)
    options = {f"--{name.replace('_', '-')}" for name in GenerateQaConfig.model_fields}
    calls = [part.split("```")[0] for part in guide.split("dataengine generate-qa")[1:]]
    assert calls and all(set(re.findall(r"--[a-z-]+", call)) <= options for call in calls)


def test_the_limits_it_names_are_parameters_of_those_steps():
    text = " ".join(EXPERIMENTS.split())
    numbers = re.search(r"`max_failed_share` \(steps (\d), (\d) and (\d)\)", text).groups()
    have = [step.number for step in STEPS if "max_failed_share" in step.config.model_fields]
    assert [int(number) for number in numbers] == have
    assert "`max_bad_share` limits the rows" in text
    rows_read = [step.name for step in STEPS if "max_bad_share" in step.config.model_fields]
    assert rows_read == [step.name for step in STEPS], "each step that reads rows, which all do"
    assert "`run.json` (`warnings`)" in text and "warnings" in RunState.__struct_fields__
    assert "warnings" in StepState.__struct_fields__


def test_what_it_says_of_doctor_and_run_is_what_they_check(tmp_path, monkeypatch):
    text = " ".join(EXPERIMENTS.split())
    assert "`run` checks all but versions, endpoint and hub" in text
    checks = ["check_models", "check_teacher_types", "check_machine", "check_questions", "check_pool"]
    for check in checks:
        monkeypatch.setattr(
            precheck, check, lambda *_, hub=False, check=check: [Finding("warn", check, f"{hub}")]
        )
    found = {(one.subject, one.message) for one in doctor.examine([demo_experiment()])}
    assert found >= {("check_models", "True"), *((check, "False") for check in checks[1:])}
    planned = plan(demo_experiment(), tmp_path)
    warnings = precheck.check_run(
        Path("demo.yaml"), planned, 0, len(planned) - 1, PROJECT_ROOT / "notebooks", tmp_path
    )
    assert warnings == [f"{check}: False" for check in checks]


def test_base_data_is_read_in_the_formats_it_names(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.jpg")
    rows = {
        "LLaVA's conversations": {
            "image": "1.jpg",
            "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}],
        },
        "messages with an image (LLaMA-Factory, ms-swift)": {
            "images": ["1.jpg"],
            "messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."}],
        },
        "captions (MiniGPT-4, COCO)": {"image_id": 1, "caption": "A cat."},
        "v2's records": {
            "image": "1.jpg", "instruction": "What?", "options": ["A cat.", "A dog."], "choice_answer": "A",
            "answer": "It is a cat.", "short_answer": "cat", "qtype": 1,
        },
    }  # fmt: skip
    named = EXPERIMENTS.split("`base_data` of step 5 also accepts")[1].split(".\n")[0].replace("\n", " ")
    assert named.strip() == "{}, {}, {} and {}".format(*rows)
    for row in rows.values():
        file = tmp_path / "base.json"
        file.write_text(json.dumps([row]))
        (kept,) = read_training_rows(file, tmp_path, ["Q-A"], BadRows(file, 0))
        assert kept.turns("Q-A")[0][0] in ("What?", CAPTION_INSTRUCTIONS[0])


def test_the_lists_of_base_data_that_it_shows_can_be_read():
    text = (PROJECT_ROOT / "docs" / "base_data.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block)["fine_tune"] for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    assert len(blocks) == 4
    needed = {"student": "s", "train_data": ["t.json"], "image_root": "i", "output_dir": "o"}
    for block in blocks:
        FineTuneConfig.read(needed | block, "docs/base_data.md")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(BaseData.model_fields)
    assert CAPTION_INSTRUCTIONS[0] in text


def test_the_probes_of_the_page_can_be_run(tmp_path):
    """In the demo's experiment, with POPE in its public layout."""
    text = (PROJECT_ROOT / "docs" / "choices.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    settings = yaml.safe_load((PROJECT_ROOT / "params" / "demo.yaml").read_text("utf-8"))
    for section, values in yaml.safe_load(block).items():
        settings[section] |= values
    row = {
        "question_id": 1,
        "image": "COCO_val2014_000000016631.jpg",
        "text": "Is there a cat?",
        "label": "no",
    }
    rows = [row, row | {"question_id": 2, "text": "Is there a dog?"}]
    (tmp_path / "coco_pope_random.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "val2014").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "val2014" / row["image"])
    file = tmp_path / "probes.yaml"
    file.write_text(yaml.safe_dump(settings))
    planned = plan(read_experiment(file, [step.name for step in STEPS], [], None), tmp_path / "out")
    precheck.check_run(file, planned, 0, len(planned) - 1, PROJECT_ROOT / "notebooks", tmp_path / "out")
    configs = first_configs(planned)
    measured = configs["evaluate"]
    assert (measured.robust, measured.blind, measured.contamination) == ("circular", True, True)
    (of_set,) = read_panel(measured.panel, [], tmp_path, 0).values()
    assert [task.question.answer_kind for task in of_set.tasks] == ["yes_no"] * 2
    assert configs["fine_tune"].panels == [tmp_path / "out/round1/panel"]
    table = text.split("## What an accuracy rests on")[1]
    assert set(re.findall(r"^\| `(\w+):", table, re.M)) == {"robust", "blind", "contamination", "panel"}


def test_the_study_of_the_page_is_one(tmp_path):
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (PROJECT_ROOT / "docs" / "studies.md").read_text("utf-8"), re.S
    )
    file = tmp_path / "study.yaml"
    file.write_text(block.replace("demo.yaml", str(PROJECT_ROOT / "params" / "demo.yaml")))
    study = read_study(file)
    assert [arm.name for arm in study.arms] == ["adaptive", "uniform", "fewer_images"] and len(
        study.runs
    ) == 24
    assert set(yaml.safe_load(block)) == set(StudySettings.model_fields) | {"rounds"}


def test_a_file_of_another_format_is_named_as_it_says(tmp_path):
    said = re.findall(r"`(looks like .*?)`", EXPERIMENTS)
    file = tmp_path / "chats.json"
    file.write_text(json.dumps([{"image": "1.jpg", "conversations": []}]))
    assert len(said) == 1 and looks_like(file).startswith(said[0])
    for step in (
        "evaluate",
        "construct_queries",
        "generate_qa",
        "post_process",
        "fine_tune",
        "compare_rounds",
    ):
        config = next(one.config for one in STEPS if one.name == step)
        assert "max_bad_share" in config.model_fields


def test_the_study_s_table_is_that_of_its_figures_and_its_arms_are_those_of_make_study():
    figures = read_json(PROJECT_ROOT / "docs" / "study" / "study_results.json", StudyFigures)
    assert markdown_table(figures).strip() in README
    study = yaml.safe_load((PROJECT_ROOT / "params" / "study.yaml").read_text(encoding="utf-8"))
    assert [arm.name for arm in figures.arms] == list(study["arms"])
    assert (len(figures.seeds), figures.rounds) == (study["seeds"], study["rounds"])
    for arm in figures.arms:
        assert f"- `{arm.name}`" in README or f"`{arm.name}` " in README
