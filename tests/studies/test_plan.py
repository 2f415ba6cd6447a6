"""`dataengine plan` and `doctor` of a study."""

from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib import cli
from dataengine_lib.runs import doctor
from dataengine_lib.runs.endpoint_check import EndpointFinding
from dataengine_lib.studies.plan import study_plan_lines
from dataengine_lib.studies.read_study import read_study


def test_shared_steps_are_counted_once_and_the_teacher_is_asked_once(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        f"study: s\nbase: {PROJECT_ROOT / 'params/demo.yaml'}\nrounds: 1\nseeds: 3\n"
        "playground: {cache: none}\nconstruct_queries: {maxnum: 180}\n"
        "arms: {a: , longer: {fine_tune.epochs: 4}, uniform: {construct_queries.weight: },"
        " base_only: {fine_tune: {new_data: false, steps: 5}}}\n"
    )
    lines = study_plan_lines(read_study(file), tmp_path / "out")
    counts = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    assert counts == {
        "0_classify_questions": ["1", "of", "12"],
        "round1/1_evaluate": ["1", "of", "12"],
        "round1/2_construct_queries": ["6", "of", "9"],  # `longer` has those of `a`
        "round1/3_generate_qa": ["6", "of", "9"],
        "round1/4_post_process": ["6", "of", "9"],
        "round1/5_fine_tune": ["12", "of", "12"],
        "final/1_evaluate": ["12", "of", "12"],
        "6_compare_rounds": ["12", "of", "12"],
    }
    assert lines[0].startswith("12 runs of 4 arms with 3 seeds") and "56 steps to make, 31 shared" in lines[0]
    costs = {line.split()[0]: line.split()[-2] for line in lines if line.endswith("0.00")}
    assert costs == {"a": "540", "longer": "0", "uniform": "540", "base_only": "0", "all": "1,080"}
    free = "0.00 US dollars, or 0.00 with replies of max_output_tokens"
    assert f"spare queries, all arms: at most 1,080 requests, {free}" in lines
    assert f"all of these with step 3's table: at most 2,160 requests, {free}" in lines


def test_readers_judge_and_budgets_are_in_the_sum_of_a_study(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "date: 2026-01-01\nmodels:\n  mine: {input: 0, output: 1000}\n"
    )  # 2 dollars a reply at most
    file.write_text(
        f"study: s\nbase: {PROJECT_ROOT / 'params/demo.yaml'}\nrounds: 2\nseeds: 3\n"
        "construct_queries: {maxnum: 180, spare_share: 0}\nevaluate: {judge: 'openai:mine'}\n"
        f"arms: {{a: , read: {{post_process.second_reader: 'openai:mine', post_process.prices: {prices}}},"
        f" limited: {{post_process.second_reader: 'openai:mine', post_process.prices: {prices},"
        " post_process.budget_usd: 5}}\n"
    )
    lines = study_plan_lines(read_study(file), tmp_path / "out")
    # 180 QAs in two rounds of three seeds; `read` and `limited` share the first round's replies with `a`
    number = 2 * 3 * 2 * 180
    assert f"second_reader, all arms: at most {number:,} requests, {number / 100:,.2f} US dollars, or" in (
        found := "\n".join(lines)
    )
    assert f"{2 * number:,.2f} with replies of max_output_tokens" in found
    assert any(line.startswith("judge is not counted: the file of questions ") for line in lines)
    (whole,) = (line for line in lines if line.startswith("all of these with step 3's table: "))
    # of each round and seed at most 5 dollars for `limited`
    most = number + 2 * 3 * 5
    assert f"or {most:,.2f} with replies of max_output_tokens within the budgets; not counted: judge" in whole


def test_the_shipped_study_is_accepted_by_plan_and_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = read_study(PROJECT_ROOT / "params" / "study.yaml")
    arms = "adaptive uniform random_images base_only published"
    assert " ".join(arm.name for arm in study.arms) == arms
    assert len(study.settings.seeds) >= 8 and study.base.head.rounds == 1
    # equal compute: every arm trains the same number of steps
    trained = [
        item.config for run in study.runs for item in study.planned(run, Path("x")) if item.step.number == 5
    ]
    assert len(trained) == len(study.runs)
    assert len({config.steps for config in trained}) == 1 and trained[0].steps  # type: ignore[attr-defined]
    monkeypatch.chdir(PROJECT_ROOT)
    monkeypatch.setattr(cli.sys, "argv", ["dataengine", "doctor", "params/study.yaml"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "ok   data paths" in capsys.readouterr().out


def test_a_model_that_several_arms_ask_is_checked_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checked: list[tuple[object, ...]] = []

    def listed(model: str, url: str, key: str) -> EndpointFinding:
        checked.append(("listing", model, url))
        return EndpointFinding("ok", f"{model} is listed")

    def asked(spec: str, url: str, *, paid: bool, prices: Path | None) -> EndpointFinding:
        checked.append(("request", spec, url))
        return EndpointFinding("ok", f"{spec} asked, {paid}")

    monkeypatch.setattr(doctor, "_ASK_TORCH", "print('device: CPU')")
    monkeypatch.setattr(doctor, "check_listing", listed)
    monkeypatch.setattr(doctor, "check_request", asked)
    monkeypatch.setenv("OPENAI_BASE_URL", url := "http://127.0.0.1:1/v1")
    monkeypatch.chdir(PROJECT_ROOT)
    file = tmp_path / "study.yaml"
    file.write_text(
        f"study: s\nbase: {PROJECT_ROOT / 'params/demo.yaml'}\nrounds: 1\nseeds: 2\n"
        "generate_qa: {teacher: 'openai:a'}\n"
        "arms: {one: , longer: {fine_tune.epochs: 4}, other: {generate_qa.teacher: 'openai:b'}}\n"
    )
    monkeypatch.setattr(cli.sys, "argv", ["dataengine", "doctor", str(file), "--ask"])
    with pytest.raises(SystemExit):
        cli.main()
    assert checked == [
        (what, f"{prefix}{model}", url)
        for model in "ab"
        for what, prefix in (("listing", ""), ("request", "openai:"))
    ]
    lines = [line for line in capsys.readouterr().out.splitlines() if "teacher of generate_qa: " in line]
    assert lines == [
        "ok   teacher of generate_qa: a is listed",
        "ok   teacher of generate_qa: openai:a asked, True",
        "ok   teacher of generate_qa: b is listed",
        "ok   teacher of generate_qa: openai:b asked, True",
    ]
