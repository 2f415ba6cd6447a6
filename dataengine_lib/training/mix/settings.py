"""Step 5: the parameters of what is trained on: new data and base data, in which shares, and for how long."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.questions.categories import type_name
from dataengine_lib.training.base_data import BaseData, base_files, check_base_data
from dataengine_lib.training.mix.replay import Replay
from dataengine_lib.training.mixing import MixSettings


class MixParameters(StepConfig):
    """What is drawn from new and base data."""

    train_data: list[Path] = Field(default_factory=list)
    """gptvqa_train_data.json of every round so far."""
    new_data: bool = True
    """Train on new data; false: on base data alone, and a run then leaves out steps 2 to 4. Needs `steps`."""
    base_data: Path | list[BaseData] | None = None
    """Questions, conversations or captions to mix in: a file, or a list of {file, image_root, share, …}."""
    base_image_root: Path | None = None
    """Where the base data's image paths start; default: image_root."""
    base_share: Annotated[float, Field(ge=0, lt=1)] | Literal["measured"] | None = None
    """Share of base rows in the mix; measured: more once known types fall; default: square-root rule."""
    replay_types: Literal["all", "even", "fallen"] = "all"
    """Draw base rows alike; even: up to four times as often those of rare types; fallen: twice those of types that fell."""
    evaluations: list[Path] = Field(default_factory=list)
    """aokvqa_eval.json of every round so far; used with base_share: measured and replay_types: fallen."""
    panels: list[Path] = Field(default_factory=list)
    """The folder panel/ beside each of them: types of its sets that fell count as well."""
    epochs: float = Field(1, gt=0)
    """Passes over the new data."""
    max_steps: int | None = Field(None, ge=1)
    """Most training steps; default: no limit."""
    steps: int | None = Field(None, ge=1)
    """Exactly so many training steps, whatever the epochs; default: as many as the epochs take."""
    batch_size: int = Field(32, ge=1)
    """Rows per training step."""

    @model_validator(mode="after")
    def _mix_is_possible(self) -> Self:
        share = 1.0 if self.base_share == "measured" else self.base_share
        check_base_data(base_files(self.base_data), share, self.base_image_root)
        self._check_new_data()
        self._check_replay()
        return self

    def _check_new_data(self) -> None:
        if self.steps and self.max_steps:
            raise ValueError("steps is the exact number, max_steps the most; leave one of them out")
        if self.new_data:
            if not self.train_data:
                raise ValueError("train_data is needed; give gptvqa_train_data.json of every round so far")
            return
        if self.train_data:
            raise ValueError("new_data: false trains on base data alone; leave train_data out")
        if self.base_data is None or self.steps is None:
            raise ValueError("new_data: false needs base_data, and steps, as epochs are passes over new data")

    @property
    def measures(self) -> bool:
        """Whether evaluations decide which base rows are drawn."""
        return self.base_share == "measured" or self.replay_types == "fallen"

    def _check_replay(self) -> None:
        if not self.measures:
            # a run always hands them over; unread files must not make a training another one
            self.evaluations, self.panels = [], []
            return
        named = "base_share: measured" if self.base_share == "measured" else "replay_types: fallen"
        if not self.new_data:
            raise ValueError(
                f"{named} is against forgetting from new data; leave it out with new_data: false"
            )
        if self.base_data is None:
            raise ValueError(f"{named} needs base_data")
        if not self.evaluations:
            raise ValueError(f"{named} needs evaluations; give aokvqa_eval.json of every round so far")
        if self.panels and len(self.panels) != len(self.evaluations):
            raise ValueError(
                f"panels has {len(self.panels)} folders for {len(self.evaluations)} evaluations; give one each, or none"
            )

    def mix(self, replay: Replay | None) -> MixSettings:
        """How much is drawn; `replay` is what was measured, if these parameters ask for that."""
        most = self.max_steps * self.batch_size if self.max_steps else None
        exactly = self.steps * self.batch_size if self.steps else None
        base_share = None if self.base_share == "measured" else self.base_share
        twice = frozenset[str]()
        if replay is not None:
            base_share = base_share if replay.share is None else replay.share
            twice = frozenset(map(type_name, replay.fallen))
        return MixSettings(self.epochs, base_share, most, exactly, twice, self.replay_types == "even")
