"""Prompt studio: the versions of a prompt as files in a folder, with their lineage, trials and a person's marks.

versions/v2/version.json    parent, rules, by whom and why
versions/v2/template.j2     for step 2: construct_queries.template
versions/v2/holdout.json    a trial: its QAs to the held-out queries
versions/v2/marks.json      what a person says of its QAs
accepted.j2, accepted.json  the template of the accepted version; its name, and who accepted it
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.prompt_versions.rule_template import RuleTemplate
from dataengine_lib.prompt_versions.trials import PersonMark, Trial
from dataengine_lib.teachers.prompt_rules.prompts import clean_rules

Author = Literal["template", "teacher", "person"]
_NAME = re.compile(r"v(\d{1,6})")
ACCEPTED_TEMPLATE, _ACCEPTED = "accepted.j2", "accepted.json"


class PromptVersion(msgspec.Struct, kw_only=True, frozen=True):
    """A list of rules; `parent` is the version that it was made from, empty for the first one."""

    name: str
    parent: str = ""
    by: Author
    rules: list[str]
    why: str = ""


class Accepted(msgspec.Struct, frozen=True):
    """The accepted version, and who accepted it: a person, or the automatic mode, which had started from `start`."""

    version: str
    by: Literal["person", "search"] = "person"
    start: str = ""


class VersionFolder:
    """The versions below `folder`, of which the first has `first_rules`; `versions` are by name, in their order.

    An acceptance that a kill has cut short is completed. Raises ParameterError where the folder has versions of another
    list of rules, DataEngineError where a file is broken.
    """

    def __init__(self, folder: Path, template: RuleTemplate, first_rules: Sequence[str]) -> None:
        self.folder, self.template = folder, template
        self.versions: dict[str, PromptVersion] = {}
        for file in sorted(folder.glob("versions/v*/version.json"), key=_number):
            version: PromptVersion = read_json(file, PromptVersion)
            # edited by hand, or from elsewhere: its name is a path, and a rule is one line
            if version.name != file.parent.name or clean_rules(version.rules) != version.rules:
                raise DataEngineError(
                    f"{file}: its name is not that of its folder, or a rule is not one line without a number; correct it, "
                    "or remove the folder"
                )
            self.versions[version.name] = version
        first = next(iter(self.versions.values()), None)
        if first is None:
            self.add(first_rules, "", "template")
        elif first.rules != list(first_rules):
            raise ParameterError(
                f"{folder}: its first version has other rules than the template now gives; choose another output"
            )
        self._complete_acceptance()

    @property
    def first(self) -> PromptVersion:
        """The version that all others come from."""
        return next(iter(self.versions.values()))

    def add(self, rules: Sequence[str], parent: str, by: Author, why: str = "") -> PromptVersion:
        """A new version, written to its folder; the one that has these rules already, where there is one."""
        for known in self.versions.values():
            if known.rules == list(rules):
                return known
        numbers = [int(found[1]) for name in self.versions if (found := _NAME.fullmatch(name))]
        version = PromptVersion(
            name=f"v{max(numbers, default=-1) + 1}", parent=parent, by=by, rules=list(rules), why=why
        )
        folder = self.path(version.name)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "template.j2", "w") as stream:
            stream.write(self.template.source(version.rules))
        # last: a folder without it is none of a version
        write_json(folder / "version.json", version)
        self.versions[version.name] = version
        return version

    def path(self, name: str) -> Path:
        """The folder of a version."""
        return self.folder / "versions" / name

    def lineage(self, version: PromptVersion) -> list[PromptVersion]:
        """The version's ancestors from the first one on, and the version itself."""
        found = [version]
        while found[0].parent in self.versions and len(found) <= len(self.versions):
            found.insert(0, self.versions[found[0].parent])
        return found

    def write_trial(self, trial: Trial) -> None:
        """Write a trial beside its version, in place of an earlier one to the same set of queries."""
        write_json(self.path(trial.version) / f"{trial.queries}.json", trial)

    def trial(self, version: str, queries: str) -> Trial | None:
        """The trial that was written; None where there is none."""
        file = self.path(version) / f"{queries}.json"
        found: Trial | None = read_json(file, Trial) if file.is_file() else None
        return found

    def marks(self, version: str) -> dict[str, PersonMark]:
        """A person's marks of the version's QAs, by the queries' ids."""
        file = self.path(version) / "marks.json"
        found: dict[str, PersonMark] = read_json(file, dict[str, PersonMark]) if file.is_file() else {}
        return found

    def write_marks(self, version: str, marks: Mapping[str, PersonMark]) -> None:
        """Write all marks of a version."""
        write_json(self.path(version) / "marks.json", dict(marks))

    def accept(self, version: PromptVersion) -> Path:
        """Make a version the accepted one, as a person does; returns its template, which step 2 takes as `template`."""
        return self._accept(Accepted(version.name))

    def accept_found(self, version: PromptVersion, start: PromptVersion) -> Path:
        """As `accept`, by the automatic mode, which had started from `start`."""
        return self._accept(Accepted(version.name, "search", start.name))

    @property
    def accepted(self) -> PromptVersion | None:
        """The accepted version; None where none was accepted yet."""
        known = self.acceptance
        return self.versions[known.version] if known else None

    @property
    def acceptance(self) -> Accepted | None:
        """What is accepted and by whom; None where nothing was accepted yet. Raises DataEngineError for a lost version."""
        file = self.folder / _ACCEPTED
        if not file.is_file():
            return None
        known: Accepted = read_json(file, Accepted)
        if lost := {known.version, known.start or known.version} - self.versions.keys():
            raise DataEngineError(
                f"{file}: names version {min(lost)}, which is not in {self.folder / 'versions'}; restore its folder, or "
                "remove this file and accept a version anew"
            )
        return known

    def _accept(self, acceptance: Accepted) -> Path:
        # The name first: it says which template belongs beside it, where a kill comes between the two files.
        write_json(self.folder / _ACCEPTED, acceptance)
        return self._write_accepted(self.versions[acceptance.version])

    def _write_accepted(self, version: PromptVersion) -> Path:
        file = self.folder / ACCEPTED_TEMPLATE
        with replacing(file, "w") as stream:
            stream.write(self.template.source(version.rules))
        return file

    def _complete_acceptance(self) -> None:
        """Write the accepted version's template where it is missing or another version's.

        A template that a person has changed by hand is no version's, and stays.
        """
        version, file = self.accepted, self.folder / ACCEPTED_TEMPLATE
        if version is None:
            return
        content = file.read_bytes() if file.is_file() else None
        others = [one.rules for one in self.versions.values() if one.name != version.name]
        if content is None or content in [self.template.source(rules).encode() for rules in others]:
            self._write_accepted(version)


def _number(file: Path) -> int:
    found = _NAME.fullmatch(file.parent.name)
    return int(found[1]) if found else -1
