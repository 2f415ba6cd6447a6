"""What a bundle must not carry to other people: paths of the machine and secrets of the environment."""

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataengine_lib.core.secrets.masking import SecretMask


class MachineTexts:
    """Finds and replaces the machine's paths and the environment's secrets in texts.

    Paths are the report's folder, the current and the home folder, and every absolute path among `parameters`. A path
    below the current folder becomes relative to it, one of the parameters its last name after `…/`, the home folder `~`.
    """

    def __init__(self, folder: Path, parameters: Iterable[Any]) -> None:
        here, home, report = Path.cwd(), Path.home(), folder.resolve()
        named = {
            path: f"…/{Path(path).name}"
            for value in parameters
            for path in _absolute_paths(value)
            if not Path(path).is_relative_to(here)
        }
        named |= {str(home): "~"} | {str(report.parent): "…"} | {str(report): report.name}
        named |= {f"{here}/": "", str(here): "."}
        self._replaced: dict[str, str] = {}
        for path, text in named.items():
            if len(Path(path).parts) > 1:  # not a bare /
                for coded in (str, html.escape, _in_json):
                    self._replaced.setdefault(coded(path), coded(text))
        # the longest first; not /root in /my/root, nor in /rooted, but /here/ before any name
        names = "|".join(
            re.escape(form) for form in sorted(self._replaced, key=lambda form: (-len(form), form))
        )
        self._paths = re.compile(rf"(?<![\w.~-])(?:{names})(?:(?<=/)|(?![\w-]))")
        self._secrets = SecretMask.of_environment()

    def cleaned(self, text: str) -> str:
        """The text without them."""
        return self._secrets.masked(self._paths.sub(lambda match: self._replaced[match[0]], text))

    def found(self, text: str) -> bool:
        """Whether the text has any of them."""
        return self.cleaned(text) != text


def _absolute_paths(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _absolute_paths(inner)
    elif isinstance(value, str) and Path(value).is_absolute():
        yield value


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
