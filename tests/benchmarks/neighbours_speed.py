"""Times step 2's search for neighbours at COCO's size: 118,287 images of 512 numbers, 300 anchors, the 1,000 nearest.

Run by `make bench`, alone on the machine. Four comparisons, all on this machine and in one process: with one matrix
product plus top-k; with FAISS's exact index, where it is installed; with the original's way,
`F.cosine_similarity(all, anchor.repeat(n, 1))` for every query that wants a neighbour; and of ten times as many images,
and anchors, with a tenth.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from table.results import Row, installed, not_installed, peer_version, write_result

from dataengine_lib.embeddings.store import nearest

IMAGES, DIMENSION, ANCHORS, TOPK = 118_287, 512, 300, 1000
QUERIES = (
    3_000  # every second of 6,000 takes a neighbour, and the original computes all cosines for each of them
)
SAMPLE = 4  # comparisons of the original that are timed
PRODUCT, ORIGINAL, TENFOLD = 2.0, 300.0, 11.0  # at most, at least, at most


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def fastest(ways: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Seconds of the fastest run of each; they run in turn, so that a busy machine slows all of them."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            took[way].append(time.perf_counter() - started)
    return {way: min(times) for way, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    with TemporaryDirectory() as scratch:
        np.save(Path(scratch) / "vectors.npy", unit(IMAGES, 0))
        vectors = np.load(Path(scratch) / "vectors.npy", mmap_mode="r")  # as a store is opened
        broken = compare(vectors, unit(ANCHORS, 1), turns)
    if broken:
        sys.exit("; ".join(broken))


def compare(vectors: np.ndarray, anchors: np.ndarray, turns: int) -> list[str]:
    everything = torch.from_numpy(np.array(vectors))  # the original holds all of it in memory

    def original() -> None:
        for anchor in torch.from_numpy(anchors[:SAMPLE, None]):
            found = torch.nn.functional.cosine_similarity(everything, anchor.repeat(len(everything), 1))
            found.topk(TOPK)

    few = vectors[: IMAGES // 10]
    more: dict[str, Callable[[], Any]] = {}
    if installed("faiss"):
        import faiss

        def with_faiss() -> None:
            index = faiss.IndexFlatIP(DIMENSION)
            index.add(np.asarray(vectors))
            index.search(anchors, TOPK)

        more = {"faiss": with_faiss}
    took = fastest(
        {
            "search": lambda: nearest(anchors, vectors, TOPK),
            "product": lambda: torch.from_numpy(anchors @ vectors.T).topk(TOPK),
            "original": original,
            "images": lambda: nearest(anchors, few, TOPK),
            "anchors": lambda: nearest(anchors[: ANCHORS // 10], vectors, TOPK),
            **more,
        },
        turns,
    )
    search = took["search"]
    theirs = took["original"] / SAMPLE
    ratios = {
        "product": search / took["product"],
        "original": theirs * QUERIES / search,
        "images": search / took["images"],
        "anchors": search / took["anchors"],
    }
    print(
        f"{ANCHORS} anchors in {len(vectors):,} images: {search:.2f} s\n"
        f"one matrix product plus top-k: {took['product']:.2f} s; ours takes {ratios['product']:.2f} times that "
        f"(at most {PRODUCT})\n"
        f"the original computes all cosines for each query, {theirs:.2f} s each: "
        f"{theirs * QUERIES:,.0f} s for the {QUERIES:,} of 6,000 "
        f"that take a neighbour (scaled from {SAMPLE} timed); their {ANCHORS} anchors searched once is "
        f"{ratios['original']:,.0f} times as fast (at least {ORIGINAL:.0f}), anchor for anchor "
        f"{theirs * ANCHORS / search:.0f} times\n"
        f"ten times the images: {ratios['images']:.1f} times the time; ten times the anchors: {ratios['anchors']:.1f} "
        f"(at most {TENFOLD:.0f})"
    )
    if "faiss" in took:
        peer = f"{peer_version('faiss-cpu')}, IndexFlatIP made and searched: {took['faiss']:.2f} s, " \
            f"{took['faiss'] / search:.2f} times as long"  # fmt: skip
        print(peer)
    else:
        peer = not_installed("FAISS", "make test installs it, or see tests/benchmarks/packages.txt")
    write_result("neighbours_speed", [
        Row(f"step 2 finds the {TOPK:,} nearest of {len(vectors):,} images for {ANCHORS} anchors, exactly",
            f"at most {PRODUCT:g} times one matrix product", f"{search:.2f} s",
            f"one matrix product plus top-k: {took['product']:.2f} s; ours takes {ratios['product']:.2f} times that",
            peer),
        Row(f"the same for the {QUERIES:,} of 6,000 queries that take a neighbour",
            f"at least {ORIGINAL:.0f} times as fast", f"{ratios['original']:,.0f} times as fast",
            f"MLLM-DataEngine's way, all cosines for each query: {theirs * QUERIES:,.0f} s (scaled from {SAMPLE})"),
        Row("how the search grows", f"at most {TENFOLD:g} times for ten times as much",
            f"ten times the images {ratios['images']:.1f} times, ten times the anchors {ratios['anchors']:.1f} times"),
    ])  # fmt: skip
    broken = []
    if ratios["product"] > PRODUCT:
        broken.append(f"the search takes more than {PRODUCT} times one matrix product plus top-k")
    if ratios["original"] < ORIGINAL:
        broken.append(f"the search is less than {ORIGINAL:.0f} times as fast as the original's")
    if max(ratios["images"], ratios["anchors"]) > TENFOLD:
        broken.append(f"ten times as much takes more than {TENFOLD:.0f} times as long")
    return broken


if __name__ == "__main__":
    main()
