"""Step 1: what the parameters of a student in vLLM may be."""


def vllm_fault(student: str, rank: str, workers: int | str, device: str) -> str:
    """Why step 1 cannot ask a student `vllm:NAME` with these parameters, as a message; empty for all other students."""
    if not student.startswith("vllm:"):
        return ""
    if not student.removeprefix("vllm:"):
        return "vllm: names no model; give vllm:NAME, a model folder or hub name behind it"
    if rank == "text":
        return "vllm: losses of whole options are not read; set rank to letter or generate"
    if workers != 1 or device not in ("auto", "device_map"):
        return (
            "vllm: runs in this process on the GPUs that CUDA_VISIBLE_DEVICES shows; leave workers out, and device "
            "at auto, or at device_map for all of them"
        )
    return ""
