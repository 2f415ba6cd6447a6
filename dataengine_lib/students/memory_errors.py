"""Step 1: which errors of a student mean that its batch was too large."""

import torch
from accelerate.utils.memory import should_reduce_batch_size

# of RuntimeErrors by CUDA and cuBLAS, which torch's own OutOfMemoryError does not cover
_MESSAGES = ("cuda error: out of memory", "cublas_status_alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help; CUDA and cuBLAS word their errors differently from torch's allocator."""
    message = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or should_reduce_batch_size(error)
        or (isinstance(error, RuntimeError) and any(words in message for words in _MESSAGES))
    )
