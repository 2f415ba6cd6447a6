"""The head of a page (all steps): student, teacher, data, round, date, duration, cost, command, parameters, versions."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dataengine_lib.core.secrets.masking import SecretMask, url_secrets
from dataengine_lib.core.text import duration
from dataengine_lib.report.pages.notebook import ShownNotebook
from dataengine_lib.report.pages.own_parameters import papermill_command
from dataengine_lib.report.run_file import ShownRun

_LONGEST = 300  # characters of a parameter's value


@dataclass
class Head:
    """What stands below the title of a page; `facts` are name and value, in their order."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    command: str = ""
    parameters: list[tuple[str, str]] = field(default_factory=list)
    versions: str = ""


def step_head(shown: ShownNotebook, run: ShownRun | None, label: str) -> Head:
    """The head of a step's page, from its notebook and from the run it belongs to.

    `label` is the step's in the run, such as `round1/1_evaluate`. The date and the duration are papermill's, data and cost
    those that the conclusion names. What nothing says is left out.
    """
    made = shown.metadata.get("papermill")
    made = made if isinstance(made, Mapping) else {}
    parameters, given = shown.parameters, shown.facts
    started, seconds = made.get("start_time"), made.get("duration")
    # the address of a server may hold a password, which a person who starts papermill gives as part of `base_url`
    secrets = SecretMask(_url_secrets(parameters))
    facts = [
        ("student", _student(parameters) or (run.student if run else "")),
        ("teacher", str(parameters.get("teacher") or (run.teacher if run else ""))),
        ("data", given.get("data", "")),
        ("round", _round(label, run) if run else ""),
        ("date", shown_time(started) if isinstance(started, str) else ""),
        ("duration", duration(seconds) if isinstance(seconds, int | float) else ""),
        ("cost", given.get("cost", "")),
    ]
    step = f" --from {shlex.quote(label)} --to {shlex.quote(label)}" if label else ""
    return Head(
        facts=[(name, value) for name, value in facts if value],
        command=f"{run.command}{step}"
        if run and run.command
        else ""
        if run
        else secrets.masked(papermill_command(shown.metadata)),
        parameters=[(name, _shown(secrets.masked_value(value))) for name, value in parameters.items()],
        versions=shown_versions(run),
    )


def _url_secrets(value: object) -> Iterator[str]:
    """The secrets of all URLs in a parameter's value."""
    if isinstance(value, str) and "://" in value:
        yield from url_secrets(value)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _url_secrets(item)


def _student(parameters: Mapping[str, Any]) -> str:
    student, adapter = parameters.get("student"), parameters.get("adapter")
    if not student:
        return ""
    return f"{student} with adapter {adapter}" if adapter else str(student)


def _round(label: str, run: ShownRun) -> str:
    """`1 of 2` for a step of round 1; a step outside of the rounds is about all of them."""
    rounds = f"{run.rounds} round{'' if run.rounds == 1 else 's'}"
    place = label.rpartition("/")[0]
    if number := re.fullmatch(r"round(\d+)", place):
        return f"{number[1]} of {run.rounds}"
    if place:
        return f"after {rounds}"
    # steps without a folder of their own come before the first round and after the last
    return f"before {rounds}" if label.startswith("0_") else f"all of {rounds}"


def shown_time(text: str) -> str:
    """`2026-01-31T12:00:00.123+00:00` as `2026-01-31 12:00 UTC`; a text that is no time as it is, on one line."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _shown(text)
    zone = found.strftime("%Z") or "UTC"
    return f"{found:%Y-%m-%d %H:%M} {zone}"


def shown_versions(run: ShownRun | None) -> str:
    """`dataengine 0.1.0, python 3.11.7, …`."""
    return ", ".join(f"{name} {version}" for name, version in run.versions.items()) if run else ""


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
