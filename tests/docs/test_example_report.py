"""reports/example: the report of the demo, which a visitor can open at once, and the figures of the README about it."""

import hashlib
import html
import json
import posixpath
import re
import zipfile
from urllib.parse import unquote, urlsplit

from project import PROJECT_ROOT

EXAMPLE = PROJECT_ROOT / "reports" / "example" / "demo.zip"
# "raise the student from 61 to 76 % on 2,160 holdout questions (+15.3 points, 95 % interval 13.0 to 17.4)"
GAIN = re.compile(
    r"from (\d+) to (\d+) % on ([\d,]+) holdout questions \(\+([\d.]+) points, 95 % interval ([\d.]+) to ([\d.]+)\)"
)


def test_it_is_small_whole_and_without_paths_of_a_machine() -> None:
    assert EXAMPLE.stat().st_size <= 3_000_000
    with zipfile.ZipFile(EXAMPLE) as held:
        names = set(held.namelist())
        about = json.loads(held.read("demo/bundle.json"))
        assert names == {"demo/bundle.json", *(f"demo/{name}" for name in about["files"])}
        for name, file in about["files"].items():
            content = held.read(f"demo/{name}")
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            text = content.decode()
            assert not re.search(r"(?<![\w.])/(?:home|root|tmp|Users|work)/", text), name
            links = [urlsplit(link) for link in re.findall(r'<a [^>]*href="([^"#]+)', text)]
            own = [unquote(link.path) for link in links if not link.scheme]
            assert {posixpath.normpath(f"demo/{posixpath.dirname(name)}/{link}") for link in own} <= names
    assert "demo/index.html" in names and "demo/types.html" in names


def test_the_figures_of_the_readme_are_those_of_this_run() -> None:
    readme = " ".join((PROJECT_ROOT / "README.md").read_text(encoding="utf-8").split())
    found = GAIN.search(readme)
    assert found
    before, after, questions, gain, low, high = found.groups()
    with zipfile.ZipFile(EXAMPLE) as held:
        page = held.read("demo/index.html").decode()
    index = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    shown = re.search(r"([\d.]+)% → ([\d.]+)%", index)
    assert shown and [f"{float(one):.0f}" for one in shown.groups()] == [before, after]
    assert f"holdout accuracy, {questions} questions" in index
    assert f"+{gain} points gain, 95 % interval [+{low}, +{high}] : a real gain" in index
