"""Another trainer, for `trainer: command`: trains a student on LLaVA rows for two steps, or copies it.

fake_trainer.py DATA STUDENT OUTPUT [--adapter] [--copy] [--fail STATUS] [--wait] [--below FOLDER] [--only FILES…]
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def train(data: Path, student: str, output: Path, *, adapter: bool) -> float:
    """Two steps on the first row; writes the model, or its adapter, and returns the loss."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(0)
    model: Any = AutoModelForImageTextToText.from_pretrained(student)
    processor = AutoProcessor.from_pretrained(student, backend="pil")
    if adapter:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*q_proj"))
    row = json.loads(data.read_text())[0]
    text = " ".join(turn["value"] for turn in row["conversations"])
    inputs = processor(text=text, images=Image.open(row["image"]).convert("RGB"), return_tensors="pt")
    steps = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    for _ in range(2):  # the second step also changes LoRA's A, whose gradient is 0 while B is 0
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        steps.step()
        steps.zero_grad()
    model.save_pretrained(output)
    if not adapter:
        processor.save_pretrained(output)
    return float(loss.detach())


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("data", type=Path)
    read.add_argument("student")
    read.add_argument("output", type=Path)
    read.add_argument("--adapter", action="store_true")
    read.add_argument("--copy", action="store_true")
    read.add_argument("--fail", type=int)
    read.add_argument(
        "--wait", type=Path, help="write this file with two process ids, then wait for a signal"
    )
    read.add_argument("--kill-self", action="store_true")
    read.add_argument("--below", default=".")
    read.add_argument("--only", nargs="*", help="copy these files alone")
    given = read.parse_args()
    print(f"rows: {len(json.loads(given.data.read_text()))}")
    print(f"key {os.environ.get('OPENAI_API_KEY')}", file=sys.stderr)
    sys.stderr.write("10%\r50%\r100%\n\x1b[31mred\x1b[0m\n")
    if given.wait:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        given.wait.write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if given.kill_self:
        os.kill(os.getpid(), signal.SIGKILL)
    if given.fail:
        print("Traceback (most recent call last):\n  in forward\nRuntimeError: CUDA out of memory")
        sys.exit(given.fail)
    folder = given.output / given.below
    loss = 1.5
    if given.copy:
        files = given.only or [path.name for path in Path(given.student).iterdir()]
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copy(Path(given.student) / name, folder)
    else:
        loss = train(given.data, given.student, folder, adapter=given.adapter)
    history = [{"step": 1, "loss": loss, "learning_rate": 0.1}, {"step": 1, "train_runtime": 3}]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 1, "log_history": history}))
    (folder / "optimizer.pt").write_bytes(b"state")


if __name__ == "__main__":
    main()
