"""Prompt studio: what its notebook and its automatic mode share: versions of a prompt, their QAs, and better rules."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from random import Random

from msgspec.structs import replace

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.chat.prices import most_tokens, read_prices
from dataengine_lib.chat.settings import PaidChatSettings
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import fingerprint, write_json
from dataengine_lib.core.records import QaForm, Query, TrainRecord, image_name
from dataengine_lib.curation.candidates import Candidate, Reject
from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.parsed_replies import parsed_replies
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.prompt_versions.marks import mark_groups
from dataengine_lib.prompt_versions.rule_template import RuleTemplate
from dataengine_lib.prompt_versions.settings import StudioSettings
from dataengine_lib.prompt_versions.trials import Trial, query_outcome
from dataengine_lib.prompt_versions.version_folder import PromptVersion, VersionFolder
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.teachers.prompt_rules.prompts import Proposal, revision_prompt
from dataengine_lib.teachers.prompt_rules.rule_teacher import RuleTeacher
from dataengine_lib.teachers.reply_files import LEDGER
from dataengine_lib.teachers.request import read_queries

HELD_OUT = "holdout"  # the name of the queries that decide
_PROPOSALS, _READERS = "proposals_ledger.jsonl", "readers_ledger.jsonl"
_MOST_HELD_OUT = 2 / 3  # of the queries, where there are few
# what a trial's QAs and checks depend on, beside its prompts
_MADE_WITH = {
    *("teacher", "base_url", "temperature", "seed", "max_output_tokens"),
    *("image_root", "coco_dataset", "second_reader"),
}
_READER_TOKENS = 2000  # of a reader's reply, as in step 4
_READER_PROMPT = "x" * 4000  # as long as most that a reader is asked


class BudgetSpent(DataEngineError):
    """The rest of `budget_usd` does not allow the next requests; what was paid for is kept."""


class PromptStudio:
    """The versions of a prompt below `settings.output`, and what tries and revises them.

    Every reply is in a ledger below the output: one that was paid for is never requested again, also by a later run.
    `warnings` are about queries that are left out. Raises ParameterError when the queries are of another template, a rule
    to be left out does not exist, or there are too few queries.
    """

    def __init__(self, settings: StudioSettings) -> None:
        self.settings = settings
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
        self.folder = VersionFolder(settings.output, self.template, self._first_rules())

    @cached_property
    def replies(self) -> Path:
        """The folder of the ledgers."""
        return self.settings.output / "replies"

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
        asked = {query.query_id: self._with_rules(query, version) for query in queries}
        settings, prompts = self.settings, [query.prompt for query in asked.values()]
        made_with = fingerprint(prompts, settings.model_dump(mode="json", include=_MADE_WITH))
        known = self.folder.trial(version.name, name)
        if known is not None and known.made_with == made_with:
            return known
        self._check_affordable(settings.teacher, prompts, settings.max_output_tokens)
        write_json(self.replies / "gptvqa_prompt.json", list(asked.values()))
        shared = settings.model_dump(include=set(PaidChatSettings.model_fields))
        result = generate_qa(
            GenerateQaConfig(
                **shared | {"budget_usd": self._left_for(LEDGER)},
                input=self.replies / "gptvqa_prompt.json",
                output=self.replies / "gptvqa_result.jsonl",
                teacher=settings.teacher,
                image_root=settings.image_root,
                coco_dataset=settings.coco_dataset,
                max_failed_share=1,
            )
        )
        if result.unasked:
            raise self._budget_spent()
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
            made_with=made_with,
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
        ledger = self.replies / _PROPOSALS
        asked = settings.model_copy(update={"max_output_tokens": settings.rules_output_tokens})
        if known := RuleTeacher(spec, asked, ledger).known(prompt):
            return known
        self._check_affordable(spec, [prompt], asked.max_output_tokens)
        teacher = RuleTeacher(spec, asked, ledger, self._left_for(_PROPOSALS), settings.prices)
        proposal = teacher.propose(prompt)
        if teacher.model.budget.stopped:
            raise self._budget_spent()
        return proposal

    def spent_usd(self) -> float:
        """US dollars to count against the budget: of QAs, proposals and readers, of this run and of earlier ones."""
        return sum(map(self._spent, (LEDGER, _PROPOSALS, _READERS)))

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

    # Checks

    def _checked(self, replies: Path) -> tuple[dict[str, list[TrainRecord]], dict[str, list[Reject]]]:
        """(the QAs that step 4's checks keep, what they drop) by the queries' ids; QAs are not compared with each other."""
        settings = self.settings
        for reader in settings.second_reader:
            self._check_affordable(reader.model, [_READER_PROMPT], _READER_TOKENS)
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
                max_output_tokens=_READER_TOKENS,
                budget_usd=self._left_for(_READERS),
                prices=settings.prices,
                seed=settings.seed,
            ),
            self.replies / _READERS,
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
                raise self._budget_spent()
        self.warnings += [line for line in checks.warnings if line not in self.warnings]
        return kept, dropped

    # Money

    def _spent(self, ledger: str) -> float:
        file = self.replies / ledger
        if not file.is_file():
            return 0.0
        with Ledger(file, waits=True) as read:
            return read.spent_usd

    def _left_for(self, ledger: str) -> float | None:
        """What this ledger may come to in all: the budget without what the others have cost. None: no budget."""
        budget = self.settings.budget_usd
        if budget is None:
            return None
        left = budget - sum(self._spent(one) for one in (LEDGER, _PROPOSALS, _READERS) if one != ledger)
        if left <= 0:
            raise self._budget_spent()
        return left

    def _check_affordable(self, spec: str, prompts: Sequence[str], max_output_tokens: int) -> None:
        """Raise BudgetSpent when the most that one of the requests may cost is more than what is left."""
        budget, price = self.settings.budget_usd, read_prices(self.settings.prices).of(spec)
        if budget is None or price is None:  # without a price, what is asked says so
            return
        tokens = max(map(most_tokens, prompts)) + SCHEMA_TOKENS
        dearest = price.most(tokens, max_output_tokens, self.settings.service_tier or "")
        if dearest > budget - self.spent_usd() and dearest > 0:
            raise self._budget_spent()

    def _budget_spent(self) -> BudgetSpent:
        return BudgetSpent(
            f"budget_usd {self.settings.budget_usd:g}: {self.spent_usd():.4f} spent, too little is left for the next "
            "requests; raise budget_usd to go on"
        )
