"""Step 5: the commands that start a training in several processes, on this machine or on several."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.core.user_files.yaml_file import read_yaml
from dataengine_lib.errors import ParameterError

_REMEDY = "give a file that `accelerate config` wrote"
_SHARDED = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # of accelerate's DistributedType
_PORT = 29500  # torch's own default


def processes_of(accelerate_config: Path, *, quantized: bool = False) -> int:
    """How many processes a file of `accelerate config` starts in all.

    Raises ParameterError where it does not say, and where it asks for weights in parts and the base is `quantized`.
    """
    found = read_yaml(accelerate_config, _REMEDY)
    count = found.get("num_processes") if isinstance(found, dict) else None
    if not isinstance(count, int) or count < 1:
        raise ParameterError(f"{accelerate_config}: num_processes is missing; {_REMEDY}")
    if quantized and (kind := found.get("distributed_type")) in _SHARDED:
        raise ParameterError(
            f"{accelerate_config}: distributed_type {kind} divides the weights, which step 5 does not do with a base in 4 "
            "bits; leave quantize out, or set distributed_type: MULTI_GPU"
        )
    return count


def local_command(arguments: Sequence[str], processes: int, accelerate_config: Path | None) -> list[str]:
    """Starts `python -m MODULE …` of `arguments` in all processes of this machine."""
    if accelerate_config:
        launcher = ["accelerate.commands.launch", "--config_file", str(accelerate_config)]
    else:
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, "-m", *launcher, "-m", *arguments]


def command_for_machines(arguments: Sequence[str], processes: int, machines: int) -> str:
    """A line for the shell of each machine, which differ by MACHINE alone: 0 for the first, and so on."""
    return " ".join(
        [
            "python -m torch.distributed.run",
            f"--nnodes={machines} --node-rank=$MACHINE --nproc-per-node={processes}",
            f"--master-addr=$FIRST_MACHINE --master-port=${{PORT:-{_PORT}}}",
            f"-m {shlex.join(arguments)}",
        ]
    )


def slurm_script(arguments: Sequence[str], processes: int, machines: int, name: str) -> str:
    """A script for `sbatch` that runs `command_for_machines` on each node; partition and time are the cluster's own."""
    command = command_for_machines(arguments, processes, machines)
    return f"""#!/bin/bash
#SBATCH --job-name={shlex.quote(name)}
#SBATCH --nodes={machines}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={processes}
# add the partition, account and time limit of your cluster
set -euo pipefail
export FIRST_MACHINE=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# quoted as a whole, since the command itself may hold quotation marks
TRAIN=$(cat <<'END'
MACHINE=$SLURM_NODEID
exec {command}
END
)
srun bash -c "$TRAIN"
"""
