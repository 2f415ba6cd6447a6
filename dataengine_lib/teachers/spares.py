"""Step 3: spare queries, one for each reply that skips, so that every type gets the QAs that its weight asked for."""

from collections import Counter
from collections.abc import Collection, Sequence

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Query
from dataengine_lib.core.text import first_named
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.teachers.reply_files import ReplyFiles


class SpareWaves:
    """Says which spares are asked, wave by wave, once all main queries are answered.

    A wave has of each type as many spares, in their order, as replies to main queries skipped, less the spares that were
    asked and did not skip. So the spares that are asked depend on the replies alone: of each type the first ones, up to the
    number of QAs that skips have cost, or all. A spare without a usable reply is not asked again, as another one takes its
    place. `keys_under_way` are the request keys of batches that an earlier run has not collected.
    """

    def __init__(
        self,
        files: ReplyFiles,
        main: Sequence[Query],
        spares: Sequence[Query],
        keys_under_way: Collection[str] = (),
    ) -> None:
        self.files, self.main, self.spares = files, main, spares
        self._skips: dict[str, bool] = {}  # by query id, of the results that were read
        self._added: set[str] = set()
        keys = files.keys
        # Asked by an earlier run, which may have been killed. Of queries that are the same request the first was asked.
        first = {keys[query.query_id]: query for query in reversed([*main, *spares])}
        asked = [spare for spare in spares if first[keys[spare.query_id]] is spare]
        self._add([one for one in asked if files.is_paid(one) or keys[one.query_id] in keys_under_way])

    def next(self) -> list[Query]:
        """The queries to ask now; none once every skip is made up for, or while others have still to be asked."""
        while not self.files.pending():
            wave = self._wave()
            if not wave:
                break
            self._add(wave)
            # a spare that is the same request as an earlier query has its reply already
            if pending := self.files.pending():
                return pending
        return []

    @property
    def asked(self) -> list[Query]:
        """The spares with a reply, or that failed, in their order."""
        files = self.files
        return [
            one
            for one in self.spares
            if one.query_id in self._added
            and (one.query_id in files.results or one.query_id in files.failures)
        ]

    def write_asked(self) -> None:
        """Write the spares that were asked beside the output: later rounds leave out their images. Without any, no file."""
        file = self.files.output.with_name(ASKED_SPARES_FILE)
        if asked := self.asked:
            write_json(file, asked)
        else:
            file.unlink(missing_ok=True)

    def notes(self) -> list[str]:
        """What was asked, for the user."""
        if not self.spares:
            return []
        return [
            f"{len(self.asked):,} of {len(self.spares):,} spare queries were asked in place of replies that skip"
        ]

    def warnings(self) -> list[str]:
        """A sentence on the types that have no spare left, although some of their skips are not made up for."""
        left = {one.question_type for one in self.spares if one.query_id not in self._added}
        short = {name: number for name, number in self._missing().items() if name not in left}
        if not self.spares or not short:
            return []
        return [
            f"{sum(short.values()):,} replies that skip have no spare query left, of {len(short)} "
            f"type{'' if len(short) == 1 else 's'}: {first_named(sorted(short))}; write more in step 2"
        ]

    def _wave(self) -> list[Query]:
        missing, wave = self._missing(), []
        for spare in self.spares:
            if spare.query_id not in self._added and missing.get(spare.question_type, 0) > 0:
                missing[spare.question_type] -= 1
                wave.append(spare)
        return wave

    def _missing(self) -> dict[str, int]:
        """By type, replies to main queries that skip less spares that do not, where there are more of the first."""
        found: Counter[str] = Counter(one.question_type for one in self.main if self._skipped(one) is True)
        found.subtract(one.question_type for one in self.asked if self._skipped(one) is False)
        return {name: number for name, number in found.items() if number > 0}

    def _skipped(self, query: Query) -> bool | None:
        """Whether the reply is a skip, None where there is none."""
        row = self.files.results.get(query.query_id)
        if row is None:
            return None
        if query.query_id not in self._skips:
            self._skips[query.query_id] = parse_result(row) is Reason.SKIPPED
        return self._skips[query.query_id]

    def _add(self, spares: Sequence[Query]) -> None:
        self._added.update(one.query_id for one in spares)
        self.files.add(spares)
