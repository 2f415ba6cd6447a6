"""Step 5: the processes that train one student together, as a launcher describes them in the environment."""

import os
from dataclasses import dataclass

from dataengine_lib.errors import DataEngineError


@dataclass(frozen=True)
class World:
    """How many processes there are, and which of them this is: all over (`rank`), and on its machine."""

    size: int = 1
    rank: int = 0
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def join(self, on_cpu: bool) -> None:
        """Connect with the other processes; on a CPU by gloo, else by what the GPU's maker provides."""
        if self.size > 1:
            from accelerate import PartialState

            PartialState(cpu=on_cpu, backend="gloo" if on_cpu else None)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.barrier()

    def device(self, name: str) -> str:
        """The device of this process: one GPU each, unless a CPU is asked for or there is no GPU."""
        if self.size == 1 or name not in ("auto", "cuda"):
            return name
        import torch

        return f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu"


def this_world(expected: int) -> World:
    """The world that a launcher started. Raises DataEngineError when it has another number of processes than expected."""
    found = World(*(int(os.environ.get(name, default)) for name, default in _VARIABLES))
    if found.size != expected:
        raise DataEngineError(
            f"fine-tuning: the launcher started {found.size} process{'' if found.size == 1 else 'es'} where "
            f"{expected} were asked for; check its settings"
        )
    return found


# as torch's launchers and accelerate's name them
_VARIABLES = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
