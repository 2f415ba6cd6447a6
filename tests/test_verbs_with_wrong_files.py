"""Every verb with a file or folder that is not what it needs: one line, exit status 1 or 2, and no traceback."""

import os
import sys
from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib.cli import main

DEMO = PROJECT_ROOT / "data_demo"
WRONG = ["missing", "folder", "empty", "binary", "below a file", "object", "number", "long"]
# {} is what is wrong; outputs go to the folder of the test
VERBS = {
    "report": "report {}",
    "trace": "trace abcdef --run {}",
    "run": "run {}",
    "plan": "plan {}",
    "doctor": "doctor {}",
    "init": "init mine --questions {}",
    "init, images": f"init mine --questions {DEMO}/aokvqa_v1p0_val_classified.json --image-root {{}}",
    "init, pool": "init mine --coco-dataset {}",
    "import-embeddings": "import-embeddings {} --output out/store",
    "export": f"export llava --input {{}} --output out/x.json --image-root {DEMO}",
    "export, images": f"export llava --input {DEMO}/gptvqa_train_data.json --output out/x.json --image-root {{}}",
    "export, label-studio": f"export label-studio --input {{}} --output out/tasks --image-root {DEMO}",
    "import-label-studio": "import-label-studio {} --output out/review.json",
    "merge-reviews": "merge-reviews {} other.json --output out/review.json",
    "embed": f"embed --image-root {{}} --output out/store --encoder {DEMO}/models/tiny-clip",
    "compare-rounds": f"compare-rounds --evaluations {{}} {DEMO}/aokvqa_eval.json --output out/c.json",
    "optimize-prompt": "optimize-prompt --input {} --output out/studio",
    "generate-qa, spares": f"generate-qa --input {DEMO}/gptvqa_prompt.json --spares {{}} --output out/r.jsonl",
    "post-process": f"post-process --input {{}} --output out/t.json --image-root {DEMO}",
}


def make(kind: str, folder: Path) -> Path:
    """A path in `folder` at which stands what is wrong."""
    path = folder / "Zoë 漢 🦊.json"
    contents = {"empty": b"", "binary": bytes(range(256)), "object": b"{}", "number": b"3"}
    if kind in contents:
        path.write_bytes(contents[kind])
    if kind == "folder":
        path.mkdir()
    if kind == "below a file":
        path.touch()
        return path / "x"
    return folder / ("x" * 300) if kind == "long" else path


@pytest.mark.parametrize("verb", VERBS)
def test_one_line_says_what_is_wrong(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in WRONG:
        folder = tmp_path / kind
        folder.mkdir()
        monkeypatch.chdir(folder)
        path = make(kind, folder)
        words = [str(path) if word == "{}" else word for word in VERBS[verb].split(" ")]
        monkeypatch.setattr(sys, "argv", ["dataengine", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert ended.value.code in (1, 2), f"{kind}: {shown}"
        lines = shown.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("dataengine: "), f"{kind}: {shown.err}"
        outputs = [words[at + 1] for at, word in enumerate(words) if word == "--output"]
        assert not any(map(os.path.isfile, [*outputs, "mine.yaml"])), f"{kind}: wrote its output"
