"""Prompt studio: what a person does with versions of a prompt, without widgets: sample, mark, edit, save, accept."""

from dataengine_lib.errors import ParameterError
from dataengine_lib.prompt_versions.rule_template import listed_rules, numbered_rules
from dataengine_lib.prompt_versions.trials import PersonMark, QueryOutcome, Trial
from dataengine_lib.prompt_versions.version_folder import PromptVersion
from dataengine_lib.steps.prompt_studio import HELD_OUT, PromptStudio
from dataengine_lib.teachers.prompt_rules.prompts import (
    MOST_RULE_CHARACTERS,
    MOST_RULES,
    Proposal,
)


class StudioSession:
    """A version at a time, and a sample of its QAs of which one is looked at; marks are written at once.

    `draft` are the rules that are to become the next version: those of the version, as proposed or as a person wrote them.
    What a person wrote is never dropped by another act. Raises DataEngineError where a step does.
    """

    def __init__(self, studio: PromptStudio) -> None:
        self.studio = studio
        self.version: PromptVersion = studio.folder.accepted or studio.folder.first
        self.number, self.place = 1, 0  # of the sample, and of the QA in it
        self.draft, self.proposal = list(self.version.rules), Proposal([])
        self.marks = studio.folder.marks(self.version.name)
        self.trial = self._known_sample()

    @property
    def outcome(self) -> QueryOutcome | None:
        """The QA that is looked at, or what was dropped; None before a sample was asked for."""
        return self.trial.outcomes[self.place] if self.trial else None

    @property
    def mark(self) -> PersonMark | None:
        """What the person said of it."""
        return self.marks.get(self.outcome.query_id) if self.outcome else None

    @property
    def is_saved(self) -> bool:
        """Whether the draft is the version's own list of rules."""
        return self.draft == self.version.rules

    def choose(self, name: str) -> None:
        """Go to another version. Raises ParameterError where a person's rules would be lost."""
        self._check_no_edit("another version is shown")
        self._show_version(name)

    def _show_version(self, name: str) -> None:
        self.version = self.studio.folder.versions[name]
        self.draft, self.proposal, self.place = list(self.version.rules), Proposal([]), 0
        self.marks, self.trial = self.studio.folder.marks(name), self._known_sample()

    def sample(self, number: int = 0) -> Trial:
        """Ask the teacher a sample of queries by the version's rules; 0: the same sample as before."""
        number = number or self.number
        self.trial = self.studio.trial(self.version, self.studio.sample(number - 1), _sample_name(number))
        self.number, self.place = number, 0
        return self.trial

    def go(self, step: int) -> bool:
        """Look at another QA; whether there is one in this direction."""
        last = len(self.trial.outcomes) - 1 if self.trial else 0
        before, self.place = self.place, min(max(self.place + step, 0), last)
        return self.place != before

    def write_mark(self, wrong: bool | None, why: str = "") -> None:
        """Mark the QA as wrong or right, or take the mark back; written at once."""
        if self.outcome is None:
            raise ParameterError("there is no QA to mark; ask for QAs first")
        marks = dict(self.marks)
        marks.pop(self.outcome.query_id, None)
        if wrong is not None:
            marks[self.outcome.query_id] = PersonMark(wrong, why.strip())
        self.studio.folder.write_marks(self.version.name, marks)
        self.marks = marks

    def propose(self) -> str:
        """Have the teacher propose better rules by the marks of the sample; returns why, or why there are none."""
        if self.trial is None:
            raise ParameterError("nothing is marked yet; ask for QAs first")
        self._check_no_edit("others are proposed")
        proposal = self.studio.propose(self.version, self.trial)
        if proposal is None:
            return "Nothing in this sample is marked, by checks or by you."
        if proposal.problem:
            return f"No proposal: {proposal.problem}."
        self.proposal, self.draft = proposal, list(proposal.rules)
        return f"The teacher's reason: {proposal.why}" if proposal.why else "Proposed, without a reason."

    def edit(self, text: str) -> None:
        """Take the rules that a person wrote, a numbered line each, as the draft."""
        rules = listed_rules(text)
        if not rules or len(rules) > MOST_RULES or max(map(len, rules)) > MOST_RULE_CHARACTERS:
            raise ParameterError(
                f"write 1 to {MOST_RULES} rules, each on a numbered line of at most {MOST_RULE_CHARACTERS:,} characters"
            )
        self.draft = rules

    def discard(self) -> None:
        """Drop the draft: the rules are those of the version once more."""
        self.draft, self.proposal = list(self.version.rules), Proposal([])

    def _check_no_edit(self, what: str) -> None:
        # a proposal that nobody changed is in the ledger, and costs nothing when it is asked for once more
        if not self.is_saved and self.draft != self.proposal.rules:
            raise ParameterError(
                f"the rules were edited; save them as a version first, or discard the changes, before {what}"
            )

    def _check_saved(self, what: str) -> None:
        if not self.is_saved:
            raise ParameterError(
                f"the rules shown are not those of {self.version.name}; save them as a version first, or discard the "
                f"changes, before {what}"
            )

    @property
    def draft_text(self) -> str:
        """The draft as a person edits it."""
        return numbered_rules(self.draft)

    def save(self) -> PromptVersion:
        """Make the draft a version with this one as its parent, and go to it."""
        if self.is_saved:
            raise ParameterError(f"these are the rules of {self.version.name}; change one first")
        proposed = self.draft == self.proposal.rules
        version = self.studio.folder.add(
            self.draft,
            self.version.name,
            "teacher" if proposed else "person",
            self.proposal.why if proposed else "",
        )
        self._show_version(version.name)
        return version

    def measure(self) -> Trial:
        """Try the version on the held-out queries, and the first one with which it is compared.

        Raises ParameterError where the draft is not saved: it is not what would be tried.
        """
        self._check_saved("it is tried")
        self.studio.trial(self.studio.folder.first, self.studio.holdout, HELD_OUT)
        return self.studio.trial(self.version, self.studio.holdout, HELD_OUT)

    def accept(self) -> str:
        """Make the version the accepted one; returns how step 2 reads it.

        Raises ParameterError where the draft is not saved: it is not what would be accepted.
        """
        self._check_saved("it is accepted")
        file = self.studio.folder.accept(self.version)
        return f"{self.version.name} is accepted. Step 2 reads it with construct_queries.template: {file}"

    def held_out(self) -> dict[str, Trial]:
        """What is known of the versions on the held-out queries, by their names."""
        studio = self.studio
        found = {
            name: studio.known_trial(version, studio.holdout, HELD_OUT)
            for name, version in studio.folder.versions.items()
        }
        return {name: trial for name, trial in found.items() if trial is not None}

    def _known_sample(self) -> Trial | None:
        queries = self.studio.sample(self.number - 1)
        return self.studio.known_trial(self.version, queries, _sample_name(self.number))


def _sample_name(number: int) -> str:
    return f"sample{number}"
