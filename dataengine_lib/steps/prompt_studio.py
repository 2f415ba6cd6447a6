"""Prompt studio: what its notebook and its automatic mode share: versions of a prompt, their QAs, and better rules."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from msgspec.structs import replace

from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.settings import PaidChatSettings
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import fingerprint, write_json
from dataengine_lib.core.records import QaForm, Query, TrainRecord, image_name
from dataengine_lib.curation.candidates import Candidate, Reject
from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.parsing.parsed_replies import parsed_replies
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.prompt_versions.marks import mark_groups
from dataengine_lib.prompt_versions.rule_template import RuleTemplate
from dataengine_lib.prompt_versions.settings import StudioSettings
from dataengine_lib.prompt_versions.studio_budget import PROPOSALS, READER_TOKENS, READERS, StudioBudget
from dataengine_lib.prompt_versions.trials import Trial, query_outcome
from dataengine_lib.prompt_versions.version_folder import PromptVersion, VersionFolder
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa, unanswered_queries
from dataengine_lib.teachers.prompt_rules.prompts import Proposal, revision_prompt
from dataengine_lib.teachers.prompt_rules.rule_teacher import RuleTeacher
from dataengine_lib.teachers.reply_files import LEDGER
from dataengine_lib.teachers.request import read_queries

HELD_OUT = "holdout"  # the name of the queries that decide
_MOST_HELD_OUT = 2 / 3  # of the queries, where there are few
# what a trial's QAs and checks depend on, beside its prompts
_MADE_WITH = {
    *("teacher", "base_url", "temperature", "seed", "max_output_tokens"),
    *("image_root", "coco_dataset", "second_reader"),
}


class PromptStudio:
    """The versions of a prompt below `settings.output`, and what tries and revises them.

    Every reply is in a ledger below the output: one that was paid for is never requested again, also by a later run.
    `warnings` are about queries that are left out. Raises ParameterError when the queries are of another template, a rule
    to be left out does not exist, or there are too few queries.
    """

    def __init__(self, settings: StudioSettings) -> None:
        self.settings = settings
        self.replies = settings.output / "replies"  # the folder of the ledgers
        self._budget = StudioBudget(settings, self.replies)
        bad = BadRows(
            settings.input, settings.max_bad_share, wanted="gptvqa_prompt.json of construct-queries", keep=20
        )
        queries = read_queries(settings.input, bad)
        self.warnings = bad.warnings()
        form = Counter(map(QaForm.of, queries)).most_common(1)[0][0]
        self.template = RuleTemplate(load_template(settings.template), form)
        usable = [
            query for query in queries if self.template.prompt(query.prompt, self.template.rules) is not None
        ]
        if not usable:
            raise ParameterError(
                f"{settings.input}: no query has the rules of {self.template.template.file}; "
                "set template to the one that they were made from"
            )
        if others := len(queries) - len(usable):
            self.warnings.append(
                f"{settings.input}: {others:,} of {len(queries):,} queries are left out; they ask for another kind of "
                "question or have other rules"
            )
        self.holdout, self._rest = self._split(usable)
        self._fingerprints: dict[tuple[str, str], str] = {}
        self.folder = VersionFolder(settings.output, self.template, self._first_rules())

    def sample(self, round_: int) -> list[Query]:
        """The queries whose QAs are marked in a round; none is held out, and a round takes others while there are any."""
        size, rest = min(self.settings.sample, len(self._rest)), self._rest
        start = round_ * size % len(rest)
        return [*rest, *rest][start : start + size]

    def trial(self, version: PromptVersion, queries: Sequence[Query], name: str) -> Trial:
        """Ask the teacher `queries` by a version's rules and check its QAs; written beside the version under `name`.

        One that an earlier run has written is not made again. Raises BudgetSpent when the budget does not allow all of
        them, DataEngineError as steps 3 and 4 do.
        """
        if (known := self.known_trial(version, queries, name)) is not None:
            return known
        settings = self.settings
        asked = {query.query_id: self._with_rules(query, version) for query in queries}
        write_json(self.replies / "gptvqa_prompt.json", list(asked.values()))
        shared = settings.model_dump(include=set(PaidChatSettings.model_fields))
        config = GenerateQaConfig(
            **shared | {"budget_usd": None},
            input=self.replies / "gptvqa_prompt.json",
            output=self.replies / "gptvqa_result.jsonl",
            teacher=settings.teacher,
            image_root=settings.image_root,
            coco_dataset=settings.coco_dataset,
            max_failed_share=1,
        )
        # replies that the ledger holds cost nothing, so they are read whatever is left
        budget = self._budget.limit(
            LEDGER,
            settings.teacher,
            unanswered_queries(config),
            settings.max_output_tokens,
            settings.service_tier or "",
        )
        result = generate_qa(config.model_copy(update={"budget_usd": budget}))
        if result.unasked:
            raise self._budget.spent()
        # a server that is away for a while says nothing about the rules
        if lost := [one for one in result.failures if one.kind == "error"]:
            raise DataEngineError(
                f"{settings.input}: {len(lost):,} of {len(queries):,} queries got no reply from {settings.teacher} "
                f"({lost[0].reason}); run again, replies that came are kept, or leave query {lost[0].query_id} out"
            )
        kept, dropped = self._checked(result.output)
        failures = {one.query_id: f"no usable reply: {one.kind}" for one in result.failures}
        trial = Trial(
            version=version.name,
            queries=name,
            made_with=self._made_with(version, queries, name),
            outcomes=[
                query_outcome(
                    query,
                    kept.get(asked[query.query_id].query_id, []),
                    dropped.get(asked[query.query_id].query_id, []),
                    failures.get(asked[query.query_id].query_id, ""),
                )
                for query in queries
            ],
            cost_usd=result.usage.cost_usd,
            prompt_tokens=result.usage.prompt_tokens,
            completion_tokens=result.usage.completion_tokens,
        )
        self.folder.write_trial(trial)
        return trial

    def known_trial(self, version: PromptVersion, queries: Sequence[Query], name: str) -> Trial | None:
        """The trial that was written under `name`; None where there is none, or it was made with other settings."""
        known = self.folder.trial(version.name, name)
        if known is None or known.made_with != self._made_with(version, queries, name):
            return None
        return known

    def propose(self, version: PromptVersion, trial: Trial, tried: Sequence[str] = ()) -> Proposal | None:
        """Better rules by the marks of a trial, of checks and of a person; None where nothing is marked.

        `tried` are changes that made it no better. Raises BudgetSpent when the budget does not allow the request.
        """
        settings = self.settings
        marks = mark_groups(trial, self.folder.marks(version.name))
        if not marks:
            return None
        spec = settings.proposer or settings.teacher
        prompt = revision_prompt(version.rules, marks, len(trial.outcomes), tried)
        self.replies.mkdir(parents=True, exist_ok=True)
        ledger = self.replies / PROPOSALS
        asked = settings.model_copy(update={"max_output_tokens": settings.rules_output_tokens})
        if known := RuleTeacher(spec, asked, ledger).known(prompt):
            return known
        request = PaidRequest("", prompt, None)
        budget = self._budget.limit(PROPOSALS, spec, [request], asked.max_output_tokens)
        teacher = RuleTeacher(spec, asked, ledger, budget, settings.prices)
        proposal = teacher.propose(prompt)
        if teacher.model.budget.stopped:
            raise self._budget.spent()
        return proposal

    def spent_usd(self) -> float:
        """US dollars to count against the budget: of QAs, proposals and readers, of this run and of earlier ones."""
        return self._budget.spent_usd()

    # Queries

    def _first_rules(self) -> list[str]:
        rules, without = self.template.rules, self.settings.without_rules
        if unknown := [number for number in without if not 1 <= number <= len(rules)]:
            raise ParameterError(
                f"without_rules: {unknown[0]} is no rule of {self.template.template.file}, which has {len(rules)}; "
                "choose others"
            )
        left = [rule for number, rule in enumerate(rules, 1) if number not in without]
        if not left:
            raise ParameterError("without_rules: leaves no rule; name fewer")
        return left

    def _split(self, queries: Sequence[Query]) -> tuple[list[Query], list[Query]]:
        """(queries that decide, the others) in a drawn order; an image is only on one side."""
        by_image: dict[str, list[Query]] = {}
        for query in queries:
            by_image.setdefault(image_name(query.image_id, query.image_path), []).append(query)
        images = list(by_image)
        Random(f"prompt studio {self.settings.seed}").shuffle(images)
        most = min(self.settings.holdout, int(_MOST_HELD_OUT * len(queries)))
        held_out: list[Query] = []
        rest: list[Query] = []
        for image in images:
            fits = len(held_out) + len(by_image[image]) <= most
            (held_out if fits else rest).extend(by_image[image])
        if not held_out or not rest:
            raise ParameterError(
                f"{self.settings.input}: {len(queries):,} queries about {len(images):,} images are too few to hold some "
                "out; write more queries in step 2"
            )
        if len(held_out) < self.settings.holdout:
            self.warnings.append(
                f"{len(held_out):,} queries are held out, not {self.settings.holdout:,}: {self.settings.input} has "
                f"{len(queries):,}"
            )
        return held_out, rest

    def _with_rules(self, query: Query, version: PromptVersion) -> Query:
        """The query as a version asks it, with an id of its own."""
        prompt = self.template.prompt(query.prompt, version.rules)
        assert prompt is not None, "queries of other templates are left out from the start"
        sha256 = hashlib.sha256(prompt.encode()).hexdigest()
        return replace(
            query,
            prompt=prompt,
            prompt_sha256=sha256,
            query_id=f"{query.query_id}-{sha256[:16]}",
            template=version.name,
        )

    def _made_with(self, version: PromptVersion, queries: Sequence[Query], name: str) -> str:
        """A key of what a trial's QAs and checks depend on; of each version and name it is made once."""
        key = (version.name, name)
        if key not in self._fingerprints:
            prompts = [self._with_rules(query, version).prompt for query in queries]
            settings = self.settings.model_dump(mode="json", include=_MADE_WITH)
            self._fingerprints[key] = fingerprint(prompts, settings)
        return self._fingerprints[key]

    # Checks

    def _checked(self, replies: Path) -> tuple[dict[str, list[TrainRecord]], dict[str, list[Reject]]]:
        """(the QAs that step 4's checks keep, what they drop) by the queries' ids; QAs are not compared with each other."""
        settings = self.settings
        checks = RecordChecks(
            CheckSettings(
                image_root=settings.image_root or settings.coco_dataset,
                coco_dataset=settings.coco_dataset,
                box_check="drop" if settings.coco_dataset else "off",
                leaks="off",
                near_duplicates="off",
                blind_classifier="off",
                second_reader=settings.second_reader,
                base_url=settings.base_url,
                max_output_tokens=READER_TOKENS,
                budget_usd=self._budget.readers_limit(),
                prices=settings.prices,
                seed=settings.seed,
            ),
            self.replies / READERS,
        )
        kept: dict[str, list[TrainRecord]] = {}
        dropped: dict[str, list[Reject]] = {}
        for item in checks.run(parsed_replies(replies)):
            if isinstance(item, Candidate):
                kept.setdefault(item.record.query_id, []).append(item.record)
            else:
                dropped.setdefault(item.query_id, []).append(item)
        for opened in checks.readers:
            if opened.asked.unasked:
                raise self._budget.spent()
        self.warnings += [line for line in checks.warnings if line not in self.warnings]
        return kept, dropped
