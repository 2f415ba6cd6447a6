"""Files written whole or not at all: on a full disk, and after kills that leave temporary files behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, system_error_line

LIMITED = """
import resource, sys
from pathlib import Path
from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.errors import DataEngineError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (write_json, write_jsonl):
    try:
        write(Path(sys.argv[1]), ["a line of the file"] * 200_000)
    except DataEngineError as error:
        print(error)
"""
WRITING = """
import sys
from pathlib import Path
from dataengine_lib.core.written_files.whole_file import replacing
with replacing(Path(sys.argv[1])) as stream:
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    write_json(file, ["old"])
    command = [sys.executable, "-c", LIMITED, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = f"{file}: cannot be written (File too large); free disk space, then run again"
    assert (done.stdout.splitlines(), done.stderr) == ([line, line], "")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert file.read_text() == '[\n "old"\n]\n'


def test_what_killed_writers_left_is_removed_but_not_what_others_write(tmp_path: Path) -> None:
    file = tmp_path / "run.json"

    def writer() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WRITING, str(file)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        return process

    killed = writer()
    killed.kill()
    killed.communicate()
    (left,) = tmp_path.iterdir()
    others = [
        tmp_path / name for name in (".run.json.backup.tmp", ".other.json.abcd1234.tmp", "run.json.tmp")
    ]
    for other in others:
        other.touch()
    living = writer()
    assert not left.exists()
    write_json(file, ["new"])
    assert len(list(tmp_path.glob(".run.json.????????.tmp"))) == 1, "that of the living writer"
    living.communicate("")
    assert living.returncode == 0 and file.read_bytes() == b""
    assert sorted(tmp_path.iterdir()) == sorted([file, *others])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("file/x.json", "{}/file is no folder"),
        ("folder", "Is a directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataEngineError) as caught:
        write_json(tmp_path / name, 1)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written ({reason.format(tmp_path)}); ")
    assert not list(tmp_path.glob(".*"))


def test_an_error_of_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), replacing(tmp_path / "a.json"):
        (tmp_path / "source").read_bytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(24, "Too many open files", "a.json"),
            "a.json: Too many open files; raise the limit with `ulimit -n 4096`, then run again",
        ),
        (OSError(28, "No space left on device"), "No space left on device; free disk space, then run again"),
        (OSError(2, "No such file or directory", "a"), "a: No such file or directory; check the path"),
        (OSError("odd"), "odd"),
    ],
)
def test_errors_of_the_system_are_one_line(error: OSError, line: str) -> None:
    assert system_error_line(error) == line
