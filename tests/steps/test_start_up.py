"""Steps start fast: importing them loads none of the libraries that only their work needs."""

import subprocess
import sys

from dataengine_lib.runs.workflow import STEPS

HEAVY = ("torch", "transformers", "sklearn", "pyarrow", "pandas", "ray", "openai")


def test_importing_all_steps_loads_no_heavy_library() -> None:
    imports = "\n".join(
        f"import dataengine_lib.steps.{name}" for name in (*[step.name for step in STEPS], "embed")
    )
    code = f"import sys\n{imports}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
