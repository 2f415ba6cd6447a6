"""Changed files of every input format: read with one line of error, or without a silent loss.

`make fuzz` tries 2,000 changes of each; here are some of them, and the faults that were found as tests of their own.
"""

import io
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from fuzzing.mutations import mutate
from fuzzing.other_files import OTHER_FILES
from fuzzing.target import Target
from fuzzing.targets import TARGETS, findings

_MUTATIONS = 12  # of each format


@pytest.mark.filterwarnings("ignore")  # Pillow's and openpyxl's about damaged files
@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_a_changed_file_is_one_line_or_no_silent_loss(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # the name that messages about a pool's folder are expected to show
    folder = tmp_path / "fuzz"
    folder.mkdir()
    with redirect_stderr(io.StringIO()):
        # other seeds for each format, so that together they try more
        first = 100_000 + 1_000 * TARGETS.index(target)
        assert list(findings(target, range(first, first + _MUTATIONS), folder)) == []


def test_the_same_seed_changes_a_file_in_the_same_way() -> None:
    content = b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]'
    once = [mutate(content, "json", seed, OTHER_FILES) for seed in range(300)]
    assert once == [mutate(content, "json", seed, OTHER_FILES) for seed in range(300)]
    assert len({one.content for one in once}) > 200
    assert sum(one.kept < 1 for one in once) > 10


def test_every_format_has_a_name_of_its_own() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS) > 60
