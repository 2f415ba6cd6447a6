"""Trains the playground's tiny CLIP and tiny LLaVA from random weights, on captions and base questions only.

`python -m dataengine_lib.demo_assets.train --output data_demo/models --work training` runs in stages:

1. a vision tower learns which caption words belong to a picture;
2. a LLaVA with that tower learns to read options and captions, then mixtures of word embeddings ("soups");
3. its projector is set so that each patch gives the embeddings of the words that it shows;
4. the whole LLaVA learns from questions about pictures;
5. a CLIP with the same tower learns by contrast.

Scenes come from the base set's range of image ids, which no evaluation set and no query pool uses.
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
    LlavaSettings,
    train_llava,
    train_reading,
    train_soups,
)
from dataengine_lib.demo_assets.train_tower import (
    TowerSettings,
    WordHead,
    set_projector,
    tokens_in_captions,
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
        "--work",
        type=Path,
        required=True,
        help="keeps each stage's result; an interrupted run goes on from there",
    )
    parser.add_argument("--scenes", type=int, default=32000, help="base scenes to train on")
    parser.add_argument("--tower-steps", type=int, default=2600)
    parser.add_argument("--reading-steps", type=int, default=1600)
    parser.add_argument("--soup-steps", type=int, default=400)
    parser.add_argument("--llava-steps", type=int, default=4000)
    parser.add_argument("--clip-steps", type=int, default=500)
    parser.add_argument(
        "--thin-share",
        type=float,
        default=THIN_SHARE,
        help="share of the thin types' possible questions that are in the base data",
    )
    parser.add_argument("--seed", type=int, default=0)
    train_models(parser.parse_args())


def train_models(args: argparse.Namespace) -> None:
    """Run the stages in order; a stage whose result is in `args.work` is loaded from there instead."""
    torch.manual_seed(args.seed)
    seed, work = args.seed, args.work
    tokenizer = build_tokenizer(text for i in range(4000) for text in texts_of(FIRST_ID["base"] + i, seed))
    if not (work / "scenes.pt").is_file():
        save(work / "scenes.pt", draw_all(FIRST_ID["base"], args.scenes, seed))
    images = torch.load(work / "scenes.pt")
    # 1. the vision tower
    clip = build_clip(tokenizer)
    in_captions = tokens_in_captions(tokenizer, len(images), seed)
    vision: Any = clip.config.vision_config
    words = WordHead(vision.hidden_size, in_captions)
    if not (work / "tower.pt").is_file():
        tower_settings = TowerSettings(seed=seed, steps=args.tower_steps, folder=work)
        train_tower(clip.vision_model, words, in_captions, images, tower_settings)
        save(work / "tower.pt", {"tower": clip.vision_model.state_dict(), "words": words.state_dict()})
    stage = torch.load(work / "tower.pt")
    clip.vision_model.load_state_dict(stage["tower"])
    words.load_state_dict(stage["words"])
    word_ids = words.word_ids.tolist()
    # 2. reading, then soups; both train the language model only
    llava = build_llava(tokenizer, clip)
    reader: Any = llava.model.language_model
    if not (work / "reading.pt").is_file():
        train_reading(llava, tokenizer, seed, args.reading_steps)
        save(work / "reading.pt", reader.state_dict())
    reader.load_state_dict(torch.load(work / "reading.pt"))
    if not (work / "soups.pt").is_file():
        train_soups(llava, tokenizer, word_ids, seed, args.soup_steps)
        save(work / "soups.pt", reader.state_dict())
    reader.load_state_dict(torch.load(work / "soups.pt"))
    # 3. and 4. the projector, then questions about pictures
    check = AccuracyCheck(tokenizer, seed)
    set_projector(llava, words, in_captions[:512], images[:512])
    print(f"before the questions: {check(llava)}", flush=True)
    llava_settings = LlavaSettings(seed=seed, steps=args.llava_steps, thin_share=args.thin_share, folder=work)
    train_llava(llava, tokenizer, images, word_ids, llava_settings, check)
    # 5. the CLIP: after the LLaVA has copied the tower, whose last layer this changes
    train_clip(clip, tokenizer, images, seed, args.clip_steps)
    save_clip(clip, tokenizer, args.output / "tiny-clip")
    save_llava(llava, tokenizer, args.output / "tiny-llava")


if __name__ == "__main__":
    main()
