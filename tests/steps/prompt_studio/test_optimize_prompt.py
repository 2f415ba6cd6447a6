"""The automatic mode of the prompt studio, on the playground: what it reaches, what it costs, and how it goes on."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from killed.forked import forked
from project import PROJECT_ROOT

from dataengine_lib.cli import main
from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.playground.teacher import reply, structured_reply
from dataengine_lib.prompt_versions.trials import trial_figures
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.steps.optimize_prompt import OptimizePromptConfig, optimize_prompt
from dataengine_lib.steps.prompt_studio import PromptStudio

DEMO = PROJECT_ROOT / "data_demo"
CONCURRENCY = 4
SPOILED = [3, 4, 6]  # rules of v1: no hint of the answer; one right choice; no boxes and descriptions


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """192 queries about the pool's 48 images, as step 2 writes them by v1."""
    template, pool = load_template("v1"), read_pool(DEMO)
    kinds = list(QUESTION_WRITERS)
    rows = []
    for place, image in enumerate(pool[number] for number in range(len(pool))):
        for number in range(4):
            kind = kinds[(4 * place + number) % len(kinds)]
            prompt = template.render(kind, "", ["Question: What?"], image)
            assert prompt is not None
            rows.append(
                Query(
                    image_id=image.id,
                    image_path=image.path,
                    prompt=prompt,
                    question_type=kind,
                    query_id=f"q{place}-{number}",
                    template="v1.j2",
                )
            )
    return write_json(tmp_path_factory.mktemp("queries") / "gptvqa_prompt.json", rows)


def config(queries: Path, output: Path, **changes: Any) -> OptimizePromptConfig:
    given = {"input": queries, "output": output, "coco_dataset": DEMO, "without_rules": SPOILED, **changes}
    return OptimizePromptConfig.read(given, "test")


def files(folder: Path) -> dict[str, bytes]:
    """All files but the ledgers, whose rows have times."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith("replies/")}


def test_a_spoiled_prompt_is_repaired_beyond_its_interval(queries: Path, tmp_path: Path) -> None:
    """Must show: within 6 rounds the keep rate on held-out queries rises beyond its interval; step 2 can use the result."""
    result = optimize_prompt(config(queries, tmp_path / "out"))
    before, after = (trial_figures(result.trials[name]) for name in ("v0", result.best.name))
    assert before.queries == after.queries == 60 and len(result.rounds) <= 6
    assert after.kept_interval.low > before.kept_interval.high
    found = result.comparison
    assert (
        found is not None and result.p_value is not None and result.p_value < 0.001 and found.gain.low > 0.2
    )
    assert found.fixed - found.broken == after.kept - before.kept
    page = " ".join((PROJECT_ROOT / "docs" / "prompt_studio.md").read_text(encoding="utf-8").split())
    for figures in (before, after):
        low, high = (f"{100 * end:.1f}" for end in figures.kept_interval)
        assert re.search(rf"{figures.kept} of 60 [^)]*{low} to {high}\)", page), (
            "docs/prompt_studio.md has other figures"
        )
    # as good as the prompt that was not spoiled, which the search has never seen
    whole = optimize_prompt(config(queries, tmp_path / "whole", without_rules=[], rounds=0))
    assert after.kept >= whole.trials["v0"].kept - 3
    # held-out queries are about other images than those that are marked
    studio = result.studio
    held_out = {query.image_id for query in studio.holdout}
    assert not held_out & {query.image_id for number in range(6) for query in studio.sample(number)}
    # lineage and files
    versions = studio.folder.versions
    assert studio.folder.lineage(result.best)[0].name == "v0"
    assert all(version.by == "teacher" and version.why for version in versions.values() if version.parent)
    assert result.template == tmp_path / "out" / "accepted.j2" and studio.folder.accepted == result.best
    accepted, image = load_template(result.template), read_pool(DEMO)[0]
    for query in read_json(queries, list[Query])[:1]:
        shown = accepted.render(query.question_type, "", ["Question: What?"], image)
        assert shown == studio.template.prompt(query.prompt, result.best.rules)
    assert read_json(tmp_path / "out" / "search.json")[0]["parent"] == "v0"
    # 60 queries about 15 images: fewer than so many independent queries would tell
    assert "sign-flip test by images, corrected for 2 versions: p = 0.0002" in " ".join(result.conclusion())


def test_it_starts_from_the_accepted_version_and_keeps_it_without_proof(
    queries: Path, tmp_path: Path
) -> None:
    """A person's choice is replaced only by a version that the paired test calls better."""
    given = {"sample": 8, "holdout": 16, "rounds": 2}
    by_hand = PromptStudio(config(queries, tmp_path / "out", **given))
    whole = by_hand.folder.add(by_hand.template.rules, "v0", "person")
    by_hand.folder.accept(whole)
    accepted = {name: content for name, content in files(tmp_path / "out").items() if "accepted" in name}
    assert len(accepted) == 2
    result = optimize_prompt(config(queries, tmp_path / "out", **given))
    assert result.start == whole and result.accepted == whole and next(iter(result.trials)) == "v1"
    assert all(row.parent == "v1" for row in result.rounds)
    assert accepted.items() <= files(tmp_path / "out").items()
    sentences = result.conclusion()
    assert sentences[0] == "The search started from v1, which had been accepted."
    assert re.search(r"v1, which .* \d+ of 16 held-out queries \(.* 95 % interval .*\)\.$", sentences[1])
    # a better version that a test of eight queries cannot tell from chance is not accepted
    few = optimize_prompt(config(queries, tmp_path / "few", sample=12, holdout=8, rounds=2))
    assert few.best.name != "v0" and few.accepted == few.start == few.studio.folder.first
    assert few.p_value is not None and few.p_value > 0.05
    shown = " ".join(few.conclusion())
    assert "started from v0, the first version" in shown and "so the gain may be chance" in shown
    assert f"{few.best.name} is not accepted: the paired test does not call it better than v0" in shown
    # the accepted one of a search is where a person goes on, and not where the same search starts when it goes on
    one = optimize_prompt(config(queries, tmp_path / "more", sample=12, holdout=40, rounds=2))
    assert one.accepted == one.best != one.start
    more = optimize_prompt(config(queries, tmp_path / "more", sample=12, holdout=40, rounds=3))
    at_once = optimize_prompt(config(queries, tmp_path / "at_once", sample=12, holdout=40, rounds=3))
    assert more.rounds == at_once.rounds and more.start == one.start
    before, after = more.rounds[0].holdout or (0, 0)
    gain = more.rounds[0].holdout_gain
    assert gain is not None and gain.low <= gain.gain <= gain.high
    assert gain.gain == pytest.approx((after - before) / 40)


def test_a_run_that_was_killed_goes_on_and_nothing_is_asked_twice(
    queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"OPENAI_API_KEY": "key-of-a-test"}
    monkeypatch.setenv("OPENAI_API_KEY", environment["OPENAI_API_KEY"])
    with serve(reply, structured=structured_reply) as server:
        given = {
            "teacher": "openai:playground",
            "base_url": server.base_url,
            "second_reader": "openai:playground",
            "concurrency": CONCURRENCY,
            "sample": 12,
            "holdout": 24,
            "rounds": 3,
        }
        whole = optimize_prompt(config(queries, tmp_path / "whole", **given))
        sent = texts(server)
        assert len(sent) == len(set(sent)) > 40
        server.requests.clear()
        # killed at a third and at two thirds of its requests, then to its end
        for share in (1 / 3, 2 / 3):
            arguments = (optimize_prompt, config(queries, tmp_path / "killed", **given))
            process = forked(*arguments, log=tmp_path / "log.txt", environment=environment)
            process.start()
            while len(server.requests) < share * len(sent) and process.is_alive():
                time.sleep(0.001)
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL, (tmp_path / "log.txt").read_text()
        again = optimize_prompt(config(queries, tmp_path / "killed", **given))
        assert again.best == whole.best != whole.studio.folder.first and again.rounds == whole.rounds
        assert files(tmp_path / "killed") == files(tmp_path / "whole")
        # only what was under way at a kill is asked once more
        assert set(texts(server)) == set(sent)
        assert len(texts(server)) <= len(sent) + 2 * CONCURRENCY
        server.requests.clear()
        optimize_prompt(config(queries, tmp_path / "killed", **given))
        assert server.requests == []


def texts(server: PlaygroundServer) -> list[str]:
    return [json.dumps(body["messages"]) for body in server.requests]


def test_the_budget_ends_it_and_a_higher_one_goes_on(
    queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  playground: {input: 1.0, output: 2.0}\n")
    with serve(reply, structured=structured_reply) as server:
        given = {
            "teacher": "openai:playground",
            "base_url": server.base_url,
            "prices": prices,
            "sample": 8,
            "holdout": 16,
            "rounds": 6,
            "max_output_tokens": 300,
            "concurrency": 4,
        }
        free = optimize_prompt(config(queries, tmp_path / "free", **given))
        whole_usd = free.studio.spent_usd()
        assert whole_usd > 0 and not free.stopped
        budget = 0.5 * whole_usd
        bounded = optimize_prompt(config(queries, tmp_path / "out", budget_usd=budget, **given))
        assert f"budget_usd {budget:g}" in bounded.stopped and "raise budget_usd" in bounded.conclusion()[-1]
        assert 0 < bounded.studio.spent_usd() <= budget and len(bounded.rounds) < len(free.rounds)
        server.requests.clear()
        raised = optimize_prompt(config(queries, tmp_path / "out", budget_usd=3 * whole_usd, **given))
        assert raised.best == free.best and not raised.stopped
        assert raised.studio.spent_usd() == pytest.approx(whole_usd)
        # too little for the first queries: nothing is accepted
        poor = optimize_prompt(config(queries, tmp_path / "poor", budget_usd=1e-6, **given))
        assert poor.trials == {} and poor.template is None and poor.conclusion()[0] == "Nothing was tried."
        # a run that was killed behind its last reply, before it wrote what came of it: all of it lies in the ledgers
        read = {**given, "second_reader": "openai:playground", "rounds": 1}
        paid = optimize_prompt(config(queries, tmp_path / "paid", **read))
        written = files(tmp_path / "paid")
        for file in (tmp_path / "paid").rglob("*.json"):
            if file.name.startswith(("holdout", "sample", "search", "accepted")):
                file.unlink()
        server.requests.clear()
        once_more = optimize_prompt(config(queries, tmp_path / "paid", budget_usd=1e-6, **read))
        assert server.requests == [] and not once_more.stopped and once_more.rounds == paid.rounds
        assert files(tmp_path / "paid") == written and once_more.studio.spent_usd() > 1e-6
        # one reader's reply that is missing costs money again, and there is none
        ledger = tmp_path / "paid/replies/readers_ledger.jsonl"
        rows = ledger.read_text().splitlines(keepends=True)
        ledger.write_text(
            "".join(row for row in rows if json.loads(row).get("key") != json.loads(rows[-1])["key"])
        )
        for file in (tmp_path / "paid").glob("versions/*/*.json"):
            if file.name.startswith(("holdout", "sample")):
                file.unlink()
        missing = optimize_prompt(config(queries, tmp_path / "paid", budget_usd=1e-6, **read))
        assert server.requests == [] and "raise budget_usd" in missing.stopped
        cost = free.trials["v0"].cost_usd
        assert cost and trial_figures(free.trials["v0"]).usd_per_kept == cost / free.trials["v0"].kept


def test_replies_that_do_not_come_are_no_fault_of_the_rules(
    queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    asked = {"teacher": "openai:playground", "sample": 8, "holdout": 16, "rounds": 1, "concurrency": 1}
    refused: list[str] = []

    def fault(body: dict[str, Any]) -> str | None:
        """Refuses the second request of all, each time it comes."""
        text = json.dumps(body["messages"])
        refused.append(text) if len(refused) < 2 and text not in refused else None
        return "400" if refused[1:] == [text] else None

    with serve(reply, fault, structured_reply) as server:
        given = {**asked, "base_url": server.base_url}
        with pytest.raises(
            DataEngineError, match=r"1 of \d+ queries got no reply from openai:playground .*run again"
        ):
            optimize_prompt(config(queries, tmp_path / "out", **given))
        refused[1:] = [""]
        sent = len(server.requests)
        found = optimize_prompt(config(queries, tmp_path / "out", **given))
        whole = optimize_prompt(config(queries, tmp_path / "whole", **given))
    assert len(server.requests) > sent and found.rounds == whole.rounds
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_cannot_be_used_is_one_line(queries: Path, tmp_path: Path) -> None:
    rows: list[Query] = read_json(queries, list[Query])
    for changes, message in (
        (
            {"template": "v2"},
            "no query has the rules of .*v2.j2; set template to the one that they were made from",
        ),
        ({"without_rules": [9]}, "without_rules: 9 is no rule of .*v1.j2, which has 8; choose others"),
        ({"without_rules": list(range(1, 9))}, "without_rules: leaves no rule; name fewer"),
        (
            {"teacher": "annotations"},
            "this teacher reads no prompt; choose openai:MODEL, local or playground",
        ),
    ):
        with pytest.raises(ParameterError, match=message):
            PromptStudio(config(queries, tmp_path / "out", **changes))
    few = write_json(tmp_path / "few.json", rows[:4])
    with pytest.raises(
        ParameterError, match="4 queries about 1 images are too few to hold some out; write more"
    ):
        PromptStudio(config(few, tmp_path / "few"))
    other = msgspec.structs.replace(rows[8], query_id="other", prompt=rows[8].prompt.replace("Offer", "Give"))
    mixed = write_json(tmp_path / "mixed.json", [*rows[:60], other])
    studio = PromptStudio(config(mixed, tmp_path / "mixed"))
    assert len(studio.holdout) == 40 and len(studio.warnings) == 2
    assert "1 of 61 queries are left out" in studio.warnings[0]
    assert "40 queries are held out, not 60" in studio.warnings[1]


def test_the_verb(
    queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--input", str(queries), "--output", str(tmp_path / "o"), "--coco-dataset", str(DEMO)]
    more = ["--without-rules", "3", "4", "--sample", "8", "--holdout", "16", "--rounds", "2"]
    monkeypatch.setattr("sys.argv", ["dataengine", "optimize-prompt", *options, *more])
    with pytest.raises(SystemExit, match="0"):
        main()
    shown = capsys.readouterr().out
    assert re.search(
        r"^round 2: v2: better on the held-out queries: \d+ → \d+ of 16 kept, \+\d+\.\d points \(95 % interval ",
        shown,
        re.M,
    )
    assert f"construct_queries.template: {tmp_path / 'o' / 'accepted.j2'}" in shown
