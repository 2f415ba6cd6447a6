"""Trains the playground's tiny CLIP and tiny LLaVA from nothing, on captions and base questions alone.

`python -m dataengine_lib.demo_assets.train --output data_demo/models --work training` runs in stages: a vision tower
learns which caption words belong to a picture; a LLaVA around that tower learns to read options and captions, then
words lying over each other; its projector is set to say the words that patches show; all of it gets questions behind
pictures; and a CLIP around the same tower learns by contrast. Scenes come from the
base set's range of image ids, which no measuring set and no query pool ever uses.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from dataengine_lib.demo_assets.lessons import texts_of
from dataengine_lib.demo_assets.tiny_models import (
    build_clip,
    build_llava,
    build_tokenizer,
    save_clip,
    save_llava,
)
from dataengine_lib.demo_assets.train_llava import (
    AccuracyCheck,
    train_llava,
    train_reading,
    train_soups,
)
from dataengine_lib.demo_assets.train_tower import (
    WordHead,
    said_in_captions,
    say_words,
    train_clip,
    train_tower,
)
from dataengine_lib.demo_assets.update_step import draw_all, save
from dataengine_lib.playground.sets import FIRST_ID, THIN_SHARE


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="gets tiny-clip and tiny-llava")
    parser.add_argument(
        "--work", type=Path, required=True, help="keeps each stage's result, so that a killed call goes on"
    )
    parser.add_argument("--scenes", type=int, default=32000, help="base scenes to train on")
    parser.add_argument("--tower-steps", type=int, default=2600)
    parser.add_argument("--reading-steps", type=int, default=1600)
    parser.add_argument("--soup-steps", type=int, default=400)
    parser.add_argument("--llava-steps", type=int, default=4000)
    parser.add_argument("--clip-steps", type=int, default=500)
    parser.add_argument(
        "--thin-share", type=float, default=THIN_SHARE, help="of the thin types' base questions"
    )
    parser.add_argument("--seed", type=int, default=0)
    train_models(parser.parse_args())


def train_models(args: argparse.Namespace) -> None:
    """The stages one after the other; a stage whose result lies in `args.work` is not done again."""
    torch.manual_seed(args.seed)
    seed, work = args.seed, args.work
    tokenizer = build_tokenizer(text for i in range(4000) for text in texts_of(FIRST_ID["base"] + i, seed))
    if not (work / "scenes.pt").is_file():
        save(work / "scenes.pt", draw_all(FIRST_ID["base"], args.scenes, seed))
    images = torch.load(work / "scenes.pt")
    clip = build_clip(tokenizer)
    said = said_in_captions(tokenizer, len(images), seed)
    vision: Any = clip.config.vision_config
    words = WordHead(vision.hidden_size, said)
    if not (work / "tower.pt").is_file():
        train_tower(clip.vision_model, words, said, images, seed, args.tower_steps, folder=work)
        save(work / "tower.pt", {"tower": clip.vision_model.state_dict(), "words": words.state_dict()})
    stage = torch.load(work / "tower.pt")
    clip.vision_model.load_state_dict(stage["tower"])
    words.load_state_dict(stage["words"])
    telling = words.telling.tolist()
    llava = build_llava(tokenizer, clip)
    reader: Any = llava.model.language_model
    if not (work / "reading.pt").is_file():
        train_reading(llava, tokenizer, seed, args.reading_steps)
        save(work / "reading.pt", reader.state_dict())
    reader.load_state_dict(torch.load(work / "reading.pt"))
    if not (work / "soups.pt").is_file():
        train_soups(llava, tokenizer, telling, seed, args.soup_steps)
        save(work / "soups.pt", reader.state_dict())
    reader.load_state_dict(torch.load(work / "soups.pt"))
    check = AccuracyCheck(tokenizer, seed)
    say_words(llava, words, said[:512], images[:512])
    print(f"before the lessons: {check(llava)}", flush=True)
    train_llava(
        llava,
        tokenizer,
        images,
        telling,
        seed,
        args.llava_steps,
        thin_share=args.thin_share,
        check=check,
        folder=work,
    )
    train_clip(clip, tokenizer, images, seed, args.clip_steps)
    save_clip(clip, tokenizer, args.output / "tiny-clip")
    save_llava(llava, tokenizer, args.output / "tiny-llava")


if __name__ == "__main__":
    main()
