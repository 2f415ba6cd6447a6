"""A wheel works without the checkout: built, installed into a folder of its own, used from another folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from project import PROJECT_ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the installed wheel and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files in the source tree
    without = shutil.ignore_patterns("__pycache__", "*.egg-info", ".ipynb_checkpoints")
    for name in ("dataengine_lib", "notebooks"):
        shutil.copytree(PROJECT_ROOT / name, source / name, ignore=without)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT_ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--quiet"]
    _run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)])
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)
    _run([*pip, "install", *offline, "--target", str(folder / "site"), str(wheel)])
    return folder / "site"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A user's folder with an experiment and the example files; its name has spaces and letters beyond ASCII."""
    folder = tmp_path / "Zoë's 漢 🦊"
    shutil.copytree(PROJECT_ROOT / "data_demo", folder / "data_demo")
    (folder / "params").mkdir()
    for name in ("demo.yaml", "coco.yaml", "study.yaml"):
        shutil.copy(PROJECT_ROOT / "params" / name, folder / "params" / name)
    return folder


def _run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def _environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}


def _dataengine(installed: Path, folder: Path, *arguments: str) -> str:
    script = str(installed / "bin" / "dataengine")
    return _run([sys.executable, script, *arguments], cwd=folder, env=_environment(installed))


def test_it_holds_the_library_its_resources_and_the_notebooks(installed: Path, tmp_path: Path) -> None:
    code = "from dataengine_lib import errors as e; print(e.__file__); print(e.install_command('clip'))"
    found, command = _run(
        [sys.executable, "-c", code], cwd=tmp_path, env=_environment(installed)
    ).splitlines()
    assert command == 'pip install "mllm-dataengine[clip]"', "without the checkout's constraints.txt"
    assert Path(found).parent == installed / "dataengine_lib", "not the checkout's"
    suffixes = (".py", ".j2", ".yaml", ".css", ".js")
    library = PROJECT_ROOT / "dataengine_lib"
    wanted = {path.relative_to(library) for path in library.rglob("*") if path.suffix in suffixes}
    shipped = {
        path.relative_to(installed / "dataengine_lib") for path in (installed / "dataengine_lib").rglob("*")
    }
    assert wanted <= shipped
    for notebook in (PROJECT_ROOT / "notebooks").glob("*.ipynb"):
        assert (
            installed / "dataengine_lib" / "notebooks" / notebook.name
        ).read_bytes() == notebook.read_bytes()
    assert not list(installed.rglob("tests")) and not (installed / "notebooks").exists()


def _calls(installed: Path, folder: Path, calls: list[list[str]]) -> str:
    command = [sys.executable, "-c", _CALLS]
    return _run(command, cwd=folder, env=_environment(installed), input=json.dumps(calls))


# Several verbs in one process, since each would load torch anew: lists of words as JSON on standard input.
_CALLS = """
import json, sys
from dataengine_lib import cli
for words in json.load(sys.stdin):
    sys.argv = ["dataengine", *words]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words}: {ended.code}")
"""
# {rel} and {abs} are the user's folder, as seen from another one; outputs go to that one
_VERBS = """
init|mine|--out|aus gabe|--questions|{rel}/data_demo/aokvqa_v1p0_val_classified.json
    |--coco-dataset|{abs}/data_demo|--student|{rel}/data_demo/models/tiny-llava
plan|aus gabe/mine.yaml
plan|{rel}/params/demo.yaml
plan|{rel}/params/study.yaml
doctor|{abs}/params/demo.yaml
classify-questions|--input|{rel}/data_demo/aokvqa_v1p0_val.json|--output|aus gabe/klassen ß.json
    |--teacher|playground
evaluate|--questions|{rel}/data_demo/aokvqa_v1p0_val_classified.json|--image-root|{rel}/data_demo
    |--student|{rel}/data_demo/models/tiny-llava|--no-direct-answers|--output-dir|aus gabe
embed|--image-root|{abs}/data_demo|--annotations|{abs}/data_demo/annotations/instances_demo.json
    |--encoder|{rel}/data_demo/models/tiny-clip|--output|aus gabe/store ß
construct-queries|--input|aus gabe/bad_case_aokvqa_classified.json|--output|aus gabe/queries ß.json
    |--maxnum|6|--coco-dataset|{rel}/data_demo|--coco-embedding|aus gabe/store ß
    |--near-duplicate|1|--template|v2
generate-qa|--input|aus gabe/queries ß.json|--output|aus gabe/replies ß.jsonl
cancel-batches|--input|aus gabe/queries ß.json|--output|aus gabe/replies ß.jsonl
post-process|--input|aus gabe/replies ß.jsonl|--output|aus gabe/train ß.json
    |--coco-dataset|{abs}/data_demo|--questions|{rel}/data_demo/aokvqa_v1p0_val_classified.json
optimize-prompt|--input|aus gabe/queries ß.json|--template|v2|--output|aus gabe/studio ß
    |--coco-dataset|{rel}/data_demo|--sample|2|--rounds|1
export|all|--input|aus gabe/train ß.json|--output|aus gabe/export ß|--image-root|{rel}/data_demo
export|label-studio|--input|aus gabe/train ß.json|--output|aus gabe/tasks ß|--image-root|{rel}/data_demo
import-label-studio|annotated ß.json|--output|aus gabe/review a.json
merge-reviews|aus gabe/review a.json|review ß.json|--output|aus gabe/review ß.json
fine-tune|--student|{abs}/data_demo/models/tiny-llava|--train-data|aus gabe/train ß.json
    |--image-root|{rel}/data_demo|--epochs|1|--output-dir|aus gabe/student ß
compare-rounds|--evaluations|{rel}/data_demo/aokvqa_eval.json|{abs}/data_demo/aokvqa_eval_after.json
    |--output|aus gabe/gains ß.json
compare|{rel}/data_demo|aus gabe|--output|aus gabe/compared ß.json
notebooks|aus gabe/note books ß
trace|{record}|--run|{rel}/data_demo
import-embeddings|coco images ß.pth|--output|aus gabe/imported ß
"""
DECIDED = {"from_name": "decision", "type": "choices", "value": {"choices": ["accept"]}}
# of the test below; a study carries out runs, see tests/studies
_OTHER_VERBS = {"run", "report", "bundle", "study"}


def test_every_verb_works_from_a_foreign_folder(installed: Path, work: Path, tmp_path: Path) -> None:
    here = tmp_path / "third é"
    here.mkdir()
    torch.save({1: torch.ones(1, 512), 2: -torch.ones(1, 512)}, here / "coco images ß.pth")
    (record, *_) = json.loads((work / "data_demo" / "gptvqa_train_data.json").read_text())
    annotated = {"data": {"record_id": "a"}, "annotations": [{"result": [DECIDED]}]}
    (here / "annotated ß.json").write_text(json.dumps([annotated]))
    (here / "review ß.json").write_text('{"a": {"decision": "accept"}, "b": {"decision": "reject"}}')
    places = {"rel": f"../{work.name}", "abs": str(work), "record": record["record_id"]}
    calls = [
        [word.format(**places) for word in line.split("|")]
        for line in _VERBS.replace("\n    ", "").strip().splitlines()
    ]
    help_text = _dataengine(installed, here, "--help")
    verbs = re.findall(r"^  ([a-z-]+)  ", help_text[help_text.index("Commands:") :], re.MULTILINE)
    assert {words[0] for words in calls} | _OTHER_VERBS == set(verbs)
    shown = _calls(installed, here, calls)
    assert (
        "13 steps, into reports/demo:" in shown
        and "into reports/study" in shown
        and "ok   report pages: " in shown
    )
    answers = json.loads((here / "aus gabe" / "aokvqa_eval.json").read_text())
    shipped = json.loads((work / "data_demo" / "aokvqa_eval.json").read_text())
    assert [row["question"] for row in answers] == [row["question"] for row in shipped]
    queries = json.loads((here / "aus gabe" / "queries ß.json").read_text())
    assert len(queries) == 6 and all(query["template"] == "v2.j2" for query in queries)
    assert len((here / "aus gabe" / "replies ß.jsonl").read_text().splitlines()) == 6
    assert json.loads((here / "aus gabe" / "train ß.json").read_text())
    assert json.loads((here / "aus gabe" / "gains ß.json").read_text())["comparisons"]
    assert len(json.loads((here / "aus gabe" / "review ß.json").read_text())) == 2
    for name in ("export ß", "studio ß", "tasks ß", "student ß", "imported ß", "note books ß"):
        assert any((here / "aus gabe" / name).iterdir()), name
    assert [path.name for path in here.iterdir() if path.is_dir()] == ["aus gabe"]
    assert sum(path.is_file() for path in here.iterdir()) == 3, "the inputs that were put there"
    written = [path for path in (here / "aus gabe").rglob("*") if path.is_file()]
    assert not [path for path in written if str(installed).encode() in path.read_bytes()]


def test_run_executes_its_own_notebooks(installed: Path, work: Path, tmp_path: Path) -> None:
    here = tmp_path / "third é"
    here.mkdir()
    run = ["run", f"../{work.name}/params/coco.yaml", "--to", "evaluate", "--out", "la uf ß/coco"]
    sent = ["bundle", "la uf ß/coco", "--output", "la uf ß/coco.zip"]
    shown = _calls(installed, here, [run, ["report", "la uf ß/coco"], sent])
    assert "la uf ß/coco/index.html" in shown.splitlines()
    assert "la uf ß/coco.zip: 3 pages" in shown
    round1 = here / "la uf ß" / "coco" / "round1"
    assert nbformat.read(round1 / "1_evaluate.ipynb", as_version=4).cells[-1].outputs
    assert "The student answers" in (round1 / "1_evaluate.html").read_text()
    assert [path.name for path in here.iterdir()] == ["la uf ß"]


def test_notebooks_are_copied_and_changed_ones_stay(installed: Path, tmp_path: Path) -> None:
    said = _dataengine(installed, tmp_path, "notebooks", "Zoë 漢 🦊")
    assert said.splitlines()[1] == "open them with: jupyter lab 'Zoë 漢 🦊'"
    copies = sorted((tmp_path / "Zoë 漢 🦊").iterdir())
    originals = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))
    assert [copy.read_bytes() for copy in copies] == [original.read_bytes() for original in originals]
    assert str(len(originals)) in said.splitlines()[0]


def test_without_the_example_one_line_says_what_to_give(installed: Path, tmp_path: Path) -> None:
    shutil.copy(PROJECT_ROOT / "params" / "coco.yaml", tmp_path)
    command = [sys.executable, str(installed / "bin" / "dataengine"), "run", "coco.yaml", "--to", "evaluate"]
    done = subprocess.run(
        command, cwd=tmp_path, env=_environment(installed), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(
        "dataengine: coco.yaml: evaluate.questions: data_demo/aokvqa_v1p0_val_classified"
    )
    assert all(line.endswith("give files of your own") for line in done.stderr.splitlines())
