"""The process that kernels and commands of tests are forked from: it has imported the library, so they start at once.

There is one for each process of pytest, from the first fork on; without a preload of its own a helper would decide for
all others what is imported.
"""

import multiprocessing

FORK_SERVER = multiprocessing.get_context("forkserver")
# what steps and the notebooks of a run import, also inside functions
FORK_SERVER.set_forkserver_preload(
    [
        "ipykernel.kernelapp",
        "torch",
        "transformers.models.llava.modeling_llava",
        "transformers.models.clip.modeling_clip",
        "peft",
        "sklearn.linear_model",
        "matplotlib.backends.backend_agg",
        "openai.resources.chat",
        "openai.resources.batches",
        "httpcore2",
        "h11",
        "truststore",
        "anyio._backends._asyncio",
        "tqdm.auto",
        "PIL.ImageOps",
        "dataengine_lib.runs.workflow",
        "dataengine_lib.report.evaluate",
        "dataengine_lib.students.loading",
        "dataengine_lib.training.student_training",
        "dataengine_lib.steps.generate_qa",
    ]
)
