"""`dataengine plan`: requests, tokens and prices add up, and nothing is sent."""

import json
import re
from pathlib import Path

import pytest
from experiments import call, demo_experiment
from project import PROJECT_ROOT

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import most_tokens
from dataengine_lib.core.records import CHOICE, Question, question_prompt
from dataengine_lib.curation.readers.reader_prompt import BLIND_READER, load_reader_prompt
from dataengine_lib.runs.cost_plan import plan_lines


def test_plan_spends_nothing_and_adds_up(tmp_path: Path) -> None:
    questions = [
        {"question": "Which?", "choices": ["a", "b", "c", "d"], "correct_choice_idx": 1, "image_id": n,
         "question_type": "image_scene"}
        for n in range(3)
    ]  # fmt: skip
    (tmp_path / "q.json").write_text(json.dumps(questions))
    sets = {
        "evaluate.questions": "q.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": "none",
        "generate_qa.teacher": "openai:gpt-4.1",
        "rounds": "2",
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
    assert rows["image_scene"][1] == "40"
    requests, prompt, reply, usd = (float(value.replace(",", "")) for value in rows["all"][1:])
    assert (requests, reply) == (720, 720 * 120)
    assert usd == pytest.approx(prompt / 1e6 * 2 + reply / 1e6 * 8, abs=0.01)
    assert "round1/1_evaluate: 3 questions" in done.stdout
    assert "requests to" not in done.stdout
    served = ["--set", "evaluate.student=api:gpt-4.1", "--set", "evaluate.rank=generate"]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, *served, cwd=tmp_path)
    assert "evaluate: 6 requests to api:gpt-4.1" in done.stdout, done.stderr  # with and without the options
    panel = f"{{again: {{questions: {tmp_path / 'q.json'}, image_root: {tmp_path}}}}}"
    probes = {"robust": "circular", "blind": "true", "contamination": "true", "panel": panel}
    served += [word for key, value in probes.items() for word in ("--set", f"evaluate.{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, *served, cwd=tmp_path)
    # three questions: four rotations with and without the picture, without options, two changes, four rotations of a panel
    assert f"evaluate: {12 + 12 + 3 + 6 + 12} requests to api:gpt-4.1" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["q.json"]


def test_plan_prices_readers_at_most(tmp_path: Path) -> None:
    sets = {
        "evaluate.questions": "none.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": str(PROJECT_ROOT / "data_demo"),
        "rounds": "2",
        "post_process.second_reader": "openai:gpt-4.1",
        "post_process.second_reader_image": "true",
        "post_process.blind_reader": "openai:mine",
        "post_process.budget_usd": "7.5",
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"second_reader: at most 720 requests to openai:gpt-4.1, ([\d,]+) prompt tokens, 3,800 for each image "
        r"\(prices as of [\d-]+: ([\d.]+) US dollars if each reply is a letter, at most ([\d.]+) with",
        done.stdout,
    )
    tokens, usd, most = (float(number.replace(",", "")) for number in found.groups())
    assert tokens > 720 * (3800 + 400)  # the picture, the rules, captions and boxes
    assert usd == pytest.approx((tokens * 2 + 720 * 10 * 8) / 1e6, abs=0.01)
    # what a budget would reserve: bytes in place of tokens, and the longest prompt for all
    replies = 720 * 2000 * 8 / 1e6
    assert tokens * 2 / 1e6 < most - replies < 2 * tokens * 2 / 1e6
    blind = re.search(
        r"blind_reader: at most 720 requests to openai:mine, ([\d,]+) .*\(price not known\)", done.stdout
    )
    assert int(blind[1].replace(",", "")) < tokens / 10
    assert "post_process.budget_usd stops the readers of each round at 7.5" in done.stdout
    options = ["--set", "evaluate.questions=none.json", "--set", "post_process.budget_usd=7.5"]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0 and "reader" not in done.stdout and "7.5" not in done.stdout


def test_plan_counts_the_schema_of_answers_at_most(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    price = "{input: 1000000, output: 0, image_tokens: 0}"
    prices.write_text(f"date: 2026-01-01\nmodels:\n  mine: {price}\n")
    (tmp_path / "1.jpg").touch()
    row = {"question": "Which?", "choices": ["a", "b"], "correct_choice_idx": 1, "image_path": "1.jpg"}
    (tmp_path / "q.json").write_text(json.dumps([row]))
    experiment = demo_experiment(
        f"evaluate.questions={tmp_path / 'q.json'}",
        f"evaluate.image_root={tmp_path}",
        "evaluate.student=api:mine",
        "evaluate.rank=generate",
        "evaluate.direct_answers=true",
        f"evaluate.prices={prices}",
        "evaluate.budget_usd=7",
        "post_process.blind_reader=openai:mine",
        f"post_process.prices={prices}",
    )
    experiment.sections.pop("classify_questions")
    text = "\n".join(plan_lines(experiment, tmp_path / "out"))
    prompts = {
        "evaluate: ": question_prompt(Question(question="Which?", choices=["a", "b"], correct_choice_idx=1)),
        "blind_reader: at most ": load_reader_prompt(BLIND_READER)("Which?", ["a", "b"], None, False, CHOICE),
    }
    for name, prompt in prompts.items():
        found = re.search(rf"{name}([\d,]+) requests .* letter, at most ([\d,.]+) with", text)
        number, most = (float(figure.replace(",", "")) for figure in found.groups())
        assert most == number * (most_tokens(prompt) + SCHEMA_TOKENS) > 0
    limit = "note: evaluate.budget_usd stops the student in each evaluation at 7 US dollars, and it may cost "
    assert limit in text
    # before the first round alone: later evaluations ask the checkpoints that were trained
    whole = r"note: student, in 1 evaluation: at most 2 requests, [\d,.]+ US dollars, or 7.00 with .* within the budgets"
    assert re.search(whole, text)
    (line,) = (line for line in text.splitlines() if "all of these with step 3's table" in line)
    assert line.endswith(" within the budgets")
    # a reply of one token is ranked, the direct answer is written
    experiment.sections["evaluate"]["rank"] = "letter"
    text = "\n".join(plan_lines(experiment, tmp_path / "out"))
    assert "evaluate: 1 requests to api:mine" in text and "evaluate, ranked: 1 requests to api:mine" in text
    assert "with 1 output tokens each" in text
    # options as texts: a request for each
    experiment.sections["evaluate"]["rank"] = "text"
    text = "\n".join(plan_lines(experiment, tmp_path / "out"))
    assert "evaluate: 1 requests to api:mine" in text and "evaluate, ranked: 2 requests to api:mine" in text


def test_plan_keeps_to_the_output_limit_and_the_steps_own_prices(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 1000, output: 1000}\n")
    sets = {
        "construct_queries.maxnum": "1000",
        "generate_qa.teacher": "openai:mine",
        "generate_qa.prices": str(prices),
        "generate_qa.max_output_tokens": "60",
        "classify_questions.questions": str(PROJECT_ROOT / "data_demo" / "aokvqa_v1p0_val_classified.json"),
        "classify_questions.teacher": "openai:mine",
        "classify_questions.prices": str(prices),
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "demo.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
    most = re.search(r"as max_output_tokens allows: ([\d,.]+) US dollars", done.stdout)
    requests, prompt, reply, usd = (float(value.replace(",", "")) for value in rows["all"][1:])
    assert reply == requests * 60 and usd == pytest.approx((prompt + reply) / 1000, abs=0.01)
    # replies are the same; of the prompts, bytes are counted in place of tokens, and the schema
    assert (prompt + requests * SCHEMA_TOKENS + reply) / 1000 < float(most[1].replace(",", "")) < 6 * usd
    assert "replies are counted as 60 tokens" in done.stdout
    assert re.search(r"classify_questions: .* prompt tokens, [\d.,]+ US dollars", done.stdout)


def test_plan_of_a_run_without_new_data_prices_no_teacher() -> None:
    experiment = demo_experiment(
        "fine_tune.new_data=false", "fine_tune.steps=9", "generate_qa.teacher=openai:gpt-4.1"
    )
    text = "\n".join(plan_lines(experiment, Path("out")))
    assert "no teacher writes QAs" in text and "US dollars" not in text and "generate_qa" not in text


def test_plan_says_that_equal_weights_were_asked_for() -> None:
    lines = plan_lines(demo_experiment("construct_queries.weight=null"), Path("out"))
    assert "note: construct_queries.weight is null: all types are weighted equally" in lines


def test_plan_says_what_spares_add_at_most() -> None:
    def lines(*sets: str) -> list[str]:
        prices = ["generate_qa.teacher=openai:gpt-4.1", "construct_queries.maxnum=180", "rounds=1"]
        return plan_lines(demo_experiment(*prices, *sets), Path("out"))

    def total(found: list[str]) -> list[str]:
        return next(line.split()[1:] for line in found if line.startswith("all "))

    without, found = (lines(f"construct_queries.spare_share={share}") for share in (0, 0.5))
    assert total(without) == total(found), "the table has the main queries"
    assert not any("spare" in line for line in without)
    (note,) = (line for line in found if "spare" in line)
    pattern = (
        r"note: spare queries, one for each reply that skips: at most 90 requests, ([\d,]+) prompt tokens "
        r"\(([\d.]+) US dollars, or ([\d.]+) with replies of max_output_tokens\) more than in the table"
    )
    numbers = re.fullmatch(pattern, note)
    assert numbers
    tokens, usd, most = (float(text.replace(",", "")) for text in numbers.groups())
    requests, prompt, _, cost = (float(text.replace(",", "")) for text in total(found))
    assert requests == 180 and tokens == pytest.approx(prompt / 2, abs=1)
    assert usd == pytest.approx(cost / 2, abs=0.01) and most > usd


def test_plan_adds_up_all_that_models_are_asked(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 0, output: 1000}\n")
    sets = ["construct_queries.maxnum=180", "construct_queries.spare_share=0.5", "rounds=2"]
    sets += [f"{step}.prices={prices}" for step in ("generate_qa", "post_process")]
    sets += [f"{step}.max_output_tokens=500" for step in ("generate_qa", "post_process")]
    asked = ["generate_qa.teacher=openai:mine", "post_process.second_reader=openai:mine"]
    budgets = ["generate_qa.budget_usd=100", "post_process.budget_usd=1000"]

    def whole(*more: str) -> str:
        lines = plan_lines(demo_experiment(*sets, *more), Path("out"))
        (line,) = (
            line for line in lines if line.startswith("note: all of these with step 3's table: at most ")
        )
        return line.partition("at most ")[2]

    # 360 queries, 180 spares and 360 QAs that are read: 120 tokens expected of a reply, 10 of a letter, 500 at most
    number = 360 + 180
    expected = f"900 requests, {(number * 120 + 360 * 10) / 1000:.2f} US dollars, or "
    end = " with replies of max_output_tokens"
    assert whole(*asked) == f"{expected}{900 * 0.5:.2f}{end}"
    # two rounds of 100 dollars for queries and spares; the readers' budget is never reached
    assert whole(*asked, *budgets) == f"{expected}{200 + 360 * 0.5:.2f}{end} within the budgets"
    unknown = whole(*asked, "post_process.blind_reader=openai:other", "evaluate.judge=openai:mine")
    assert unknown.startswith("1,260 requests") and unknown.endswith(
        "; without a price: blind_reader; not counted: judge"
    )


def test_plan_counts_targets_and_pictures(tmp_path: Path) -> None:
    sets = {
        "evaluate.questions": "none.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": "none",
        "construct_queries.targets": "{image_scene: 20, Image style: 0}",
        "generate_qa.teacher": "openai:gpt-4.1",
    }
    plans = {}
    for template in ("v2", "vision"):
        options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        options += ["--set", f"construct_queries.template={template}"]
        done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
        assert [rows[kind][1] for kind in ("image_scene", "image_style", "image_topic")] == ["20", "0", "21"]
        plans[template] = int(rows["image_scene"][2].replace(",", ""))
    assert plans["vision"] > 20 * 3800 > plans["v2"]
