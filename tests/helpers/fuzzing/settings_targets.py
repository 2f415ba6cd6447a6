"""What a user writes by hand, and the files of a run: YAML, templates, run.json, notebooks."""

from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import yaml

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.questions.categories import read_categories
from dataengine_lib.resources import CATEGORY_SETS, PRICES, QUERY_PROMPTS
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.summary import render_run
from dataengine_lib.runs.trace import trace_lines
from dataengine_lib.runs.workflow import STEPS
from dataengine_lib.steps.evaluate import EvaluateConfig
from fuzzing.forms import Form
from fuzzing.reply_targets import _query, _result
from fuzzing.target import Target, write
from fuzzing.verdict import Outcome


def _copy(source: Path, file: str, folder: Path) -> None:
    (folder / file).write_bytes(source.read_bytes())


def _experiment(folder: Path) -> None:
    content = {
        "run": "mine",
        "rounds": 2,
        "seed": 3,
        "evaluate": {"questions": "q.json", "image_root": "images", "student": "s", "near_duplicate": 0.5},
        "generate_qa": {"teacher": "openai:gpt-4o", "budget_usd": 5.0, "concurrency": 3},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def _read_experiment(folder: Path) -> Outcome:
    found = read_experiment(folder / "mine.yaml", [step.name for step in STEPS], [])
    section = found.sections.get("evaluate", {})
    values = {"questions": "q", "image_root": "i", "student": "s", **section, "output_dir": "o"}
    EvaluateConfig.read(values, found.where("evaluate"))
    return Outcome(len(found.sections))


def _read_prices(folder: Path) -> Outcome:
    table = read_prices(folder / "prices.yaml")
    table.of("openai:gpt-4o-mini")
    return Outcome(len(table.models))


def _read_categories(folder: Path) -> Outcome:
    return Outcome(len(read_categories(folder / "types.yaml").names))


def _render(folder: Path) -> Outcome:
    template = load_template(folder / "mine.j2")
    text = template.render(
        "ocr", "reads text", ["Question: What?"], PoolImage(id=1, path="1.jpg", captions=["A dog."])
    )
    return Outcome(len(text or ""))


def _make_run(folder: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("x = 1", outputs=[nbformat.v4.new_output("display_data", {"text/html": "<p>é</p>"})]),
        nbformat.v4.new_code_cell("y", outputs=[nbformat.v4.new_output("stream", text="lines\n")]),
    ])  # fmt: skip
    nbformat.write(book, folder / "1_evaluate.ipynb")
    step = {"step": "evaluate", "round": None, "label": "evaluate", "status": "done", "seconds": 1.0,
            "html": "1_evaluate.html", "notebook": "1_evaluate.ipynb", "outputs": [], "warnings": []}  # fmt: skip
    steps = [step, {**step, "step": "embed", "label": "embed", "notebook": ""}]
    run = {"run": "mine", "status": "done", "started": "2026-01-01T10:00:00", "rounds": 1, "seed": 0,
           "steps": steps, "versions": {"python": "3.11"}}  # fmt: skip
    write(folder / "run.json", run)
    write(folder / "gptvqa_train_data.json", [_record(number) for number in range(5)])
    write(folder / "gptvqa_prompt.json", [_query(number) for number in range(5)])
    write(folder / "gptvqa_result.jsonl", [_result(number) for number in range(5)], lines=True)


def _record(number: int) -> dict[str, Any]:
    reply = {
        key: value for key, value in _result(number).items() if "tokens" not in key and key != "finish_reason"
    }
    return {
        **reply,
        "question": "Which?",
        "choices": ["a", "b", "c", "d"],
        "correct_choice_idx": 1,
        "record_id": f"r0-{number}",
    }


def _report(folder: Path) -> Outcome:
    rendered = render_run(folder)
    return Outcome(rendered.page.stat().st_size // 100, rendered.warnings)


def _trace(folder: Path) -> Outcome:
    return Outcome(len(trace_lines("r0-3", folder)))


def _run_target(name: str, file: str, form: Any, read: Any, **more: Any) -> Target:
    return Target(name, file, form, _make_run, read, loss="no", **more)


def _setting(name: str, file: str, form: Form, source: Path, read: Any, **more: Any) -> Target:
    return Target(name, file, form, partial(_copy, source, file), read, loss="no", **more)


SETTINGS_TARGETS = [
    Target("experiment", "mine.yaml", "yaml", _experiment, _read_experiment, loss="no", may_be_empty=True),
    _setting("prices", "prices.yaml", "yaml", PRICES, _read_prices, may_be_empty=True),
    _setting("categories", "types.yaml", "yaml", CATEGORY_SETS.file("v1"), _read_categories),
    _setting("prompt template", "mine.j2", "bytes", QUERY_PROMPTS.file("v1"), _render, may_be_empty=True),
    _run_target("report: run.json", "run.json", "json", _report, names="run.json|fuzz"),
    _run_target("report: notebook", "1_evaluate.ipynb", "json", _report),
    _run_target("trace: records", "gptvqa_train_data.json", "json", _trace),
    _run_target("trace: queries", "gptvqa_prompt.json", "json", _trace),
    _run_target("trace: replies", "gptvqa_result.jsonl", "lines", _trace),
]  # fmt: skip
