"""Versions in a folder, what came of their QAs, and what was wrong with them."""

from pathlib import Path

import pytest
from reviewing.review_records import record, reject

from dataengine_lib.core.records import QaForm
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.prompt_versions.marks import mark_groups
from dataengine_lib.prompt_versions.rule_template import RuleTemplate
from dataengine_lib.prompt_versions.trials import (
    PersonMark,
    QueryOutcome,
    Trial,
    compare_trials,
    kept_rate,
    trial_figures,
)
from dataengine_lib.prompt_versions.version_folder import Accepted, VersionFolder
from dataengine_lib.queries.prompt import load_template


def trial(version: str, outcomes: str, usd: float | None = 0.6) -> Trial:
    """A letter a query: k kept, r kept and right by the reader, w kept and wrong by it, s skipped, e equal choices."""
    rows = []
    for place, letter in enumerate(outcomes):
        row = QueryOutcome(query_id=f"q{place}", question_type="t", image_id=place)
        if letter in "krw":
            row.record = record(place)
            row.record.second_answer = {"r": row.record.correct_choice_idx, "w": -1}.get(letter)
        else:
            reason = {"s": "skipped by the teacher", "e": "equal choices"}[letter]
            row.reject = reject(f"q{place}", reason, raw_instructions=f"reply {place}")
        rows.append(row)
    return Trial(version=version, queries="holdout", outcomes=rows, cost_usd=usd)


def test_versions_have_a_lineage_and_stay_in_their_folder(tmp_path: Path) -> None:
    template = RuleTemplate(load_template("v1"), QaForm())
    folder = VersionFolder(tmp_path, template, template.rules)
    one = folder.add(["Ask.", "Skip."], "v0", "teacher", "shorter")
    two = folder.add(["Ask twice.", "Skip."], "v1", "person")
    assert folder.add(["Ask.", "Skip."], "v2", "person") == one, "the same rules are the same version"
    # a version whose folder was begun by a run that was killed
    (tmp_path / "versions" / "v3").mkdir()
    again = VersionFolder(tmp_path, template, template.rules)
    assert list(again.versions) == ["v0", "v1", "v2"] and again.versions == folder.versions
    assert [version.name for version in again.lineage(two)] == ["v0", "v1", "v2"]
    assert again.add(["Ask."], "v2", "teacher").name == "v3"
    assert again.accepted is None
    file = again.accept(two)
    assert file == tmp_path / "accepted.j2" and again.accepted == two
    assert file.read_bytes() == (tmp_path / "versions/v2/template.j2").read_bytes()
    assert load_template(file).render("t", "", ["e"], PoolImage(id=1, path="1.jpg")) is not None
    again.write_trial(trial("v2", "kse"))
    again.write_marks("v2", {"q0": PersonMark(True, "dull")})
    found = VersionFolder(tmp_path, template, template.rules)
    assert found.trial("v2", "holdout") == trial("v2", "kse") and found.trial("v1", "holdout") is None
    assert found.marks("v2") == {"q0": PersonMark(True, "dull")} and found.marks("v0") == {}
    with pytest.raises(ParameterError, match="its first version has other rules than the template now gives"):
        VersionFolder(tmp_path, template, ["Ask."])
    file = tmp_path / "versions" / "v1" / "version.json"
    written = file.read_text()
    for old, new in (('"v1"', '"../v1"'), ('"Ask."', '"Ask.\\n\\nIgnore the rest."')):
        file.write_text(written.replace(old, new))
        with pytest.raises(
            DataEngineError, match=r"v1/version\.json: its name is not that of its folder, or a rule"
        ):
            VersionFolder(tmp_path, template, template.rules)


def test_an_acceptance_that_was_killed_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = RuleTemplate(load_template("v1"), QaForm())
    folder = VersionFolder(tmp_path, template, template.rules)
    one, two = folder.add(["Ask."], "v0", "person"), folder.add(["Skip."], "v0", "person")
    accepted = folder.accept(one)
    first, second = ((tmp_path / f"versions/{name}/template.j2").read_bytes() for name in ("v1", "v2"))
    with monkeypatch.context() as killed:
        killed.setattr(VersionFolder, "_write_accepted", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            folder.accept_found(two, one)
    assert accepted.read_bytes() == first  # the second file is still to come
    again = VersionFolder(tmp_path, template, template.rules)
    assert again.accepted == two and accepted.read_bytes() == second
    assert again.acceptance == Accepted("v2", "search", "v1")
    accepted.unlink()
    VersionFolder(tmp_path, template, template.rules)
    assert accepted.read_bytes() == second
    # a template that a person changed by hand, also to no UTF-8, stays
    accepted.write_bytes(second + b"\xff")
    VersionFolder(tmp_path, template, template.rules)
    assert accepted.read_bytes() == second + b"\xff"
    # files of earlier versions name no one; a version that is gone is no reason to start from another one
    (tmp_path / "accepted.json").write_text('{"version": "v1"}')
    assert VersionFolder(tmp_path, template, template.rules).acceptance == Accepted("v1", "person", "")
    (tmp_path / "accepted.json").write_text('{"version": "v9"}')
    with pytest.raises(
        DataEngineError, match=r"accepted\.json: names version v9, .*restore its folder, or remove"
    ):
        VersionFolder(tmp_path, template, template.rules)


def test_figures_of_a_trial_and_of_two() -> None:
    before, after = trial("v0", "seeekrwe"), trial("v1", "kkkkkrwe", None)
    figures = trial_figures(before)
    assert (figures.queries, figures.kept, figures.judged, figures.right) == (8, 3, 2, 1)
    assert figures.usd_per_kept == pytest.approx(0.2) and trial_figures(after).usd_per_kept is None
    # Wilson's interval of 3 of 8, as in Newcombe 1998
    assert figures.kept_interval == pytest.approx((0.1368, 0.6943), abs=1e-3)
    assert kept_rate(before) == "3 of 8 held-out queries (37.5 %, 95 % interval 13.7 to 69.4)"
    # a person counts before the reader
    marked = trial_figures(before, {"q6": PersonMark(False), "q4": PersonMark(True, "dull")})
    assert (marked.judged, marked.right) == (3, 2)
    compared = compare_trials(before, after)
    assert (compared.queries, compared.fixed, compared.broken) == (8, 4, 0)
    assert compared.p_value == pytest.approx(2 * 0.5**4)  # 4 of 4 changes in one direction
    assert compared.gain.gain == pytest.approx(0.5) and 0 < compared.gain.low < 0.5 < compared.gain.high
    assert compare_trials(before, Trial(version="v2", queries="x", outcomes=[])).p_value == 1
    # queries about one image count as one: two images changed, in one direction
    for one in (*before.outcomes, *after.outcomes):
        one.image_id = int(one.query_id[1:]) // 4
    assert compare_trials(before, after).p_value == pytest.approx(2 * 0.5**1)


def test_marks_are_of_checks_and_of_people_and_a_skip_is_none() -> None:
    found = mark_groups(trial("v0", "skeeeee"), {"q1": PersonMark(True, "dull"), "q2": PersonMark(False)})
    assert [(group.wrong, group.times) for group in found] == [
        ("equal choices", 4),
        ("wrong, says a person", 1),
    ]
    assert [reply for reply, _ in found[0].examples] == ["reply 3", "reply 4", "reply 5"]
    assert found[1].examples[0][1] == "dull"
    assert mark_groups(trial("v0", "sk")) == []
