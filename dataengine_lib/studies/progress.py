"""What a study prints while it runs: a line for each run that has ended, on a terminal also for each step."""

from collections.abc import Mapping
from statistics import mean

from dataengine_lib.core.text import duration
from dataengine_lib.studies.job import Event


class Progress:
    """The steps of all runs, which of them are there, and an estimate of the time that the others take.

    `keys` are the step keys of each run by its folder; a step whose key an earlier run has is taken over in no time.
    """

    def __init__(self, keys: Mapping[str, Mapping[str, str]], places: int) -> None:
        self._places = places
        self._left: set[tuple[str, str]] = set()  # run and label
        first: dict[str, str] = {}
        for folder, steps in keys.items():
            for label, key in steps.items():
                if first.setdefault(key, folder) == folder:
                    self._left.add((folder, label))
        self._seconds: dict[str, list[float]] = {}  # of steps that were made, by label
        self.runs, self.ended = len(keys), 0

    def take(self, event: Event) -> None:
        """Count a step or the end of a run."""
        if event.step:
            self._left.discard((event.folder, event.step))
            if event.made:
                self._seconds.setdefault(event.step, []).append(event.seconds)
            return
        self.end(event.folder)

    def end(self, folder: str) -> None:
        """Count a run that has ended; no more is expected of it."""
        self.ended += 1
        self._left = {place for place in self._left if place[0] != folder}

    def line(self, event: Event) -> str:
        """`[3/32 runs] adaptive/seed0 round1/5_fine_tune: 61 s; about 52 min left`."""
        if event.error:
            what = f"failed: {event.error}"
        elif event.step and not event.made:
            what = "unchanged or taken over"
        else:
            what = duration(event.seconds)
        name = f"{event.folder} {event.step}".rstrip()
        return f"[{self.ended}/{self.runs} runs] {name}: {what}{self._rest()}"

    def _rest(self) -> str:
        wanted = sorted(label for _, label in self._left)
        # before every kind of step has been made once, there is no estimate
        if not wanted or not set(wanted) <= set(self._seconds):
            return ""
        seconds = sum(mean(self._seconds[label]) for label in wanted) / self._places
        return f"; about {duration(seconds)} left"
