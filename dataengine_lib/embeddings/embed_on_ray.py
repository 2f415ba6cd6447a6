"""Step 2: embeds shards of images on the machines of a Ray cluster (Ray Data), one encoder in each worker."""

import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dataengine_lib.core.machine.ray_cluster import node_resources, ray_cluster, shares
from dataengine_lib.core.records import ImageId
from dataengine_lib.embeddings.embed_shards import Embedded, Engine, OnProgress, Shards, encode_shards
from dataengine_lib.embeddings.finished_shards import load_rows, save_rows
from dataengine_lib.errors import DataEngineError, install_command

if TYPE_CHECKING:
    from dataengine_lib.embeddings.encoder import Encoder
    from dataengine_lib.embeddings.lazy_encoder import LazyEncoder


def on_ray(load: Callable[[], "Encoder"]) -> Engine:
    """An engine that embeds whole shards, as `encode_shards` does, on the cluster that RAY_ADDRESS names.

    `load` makes the encoder in each worker: one for each GPU of the cluster, or for each CPU where there is no GPU.
    All machines must see the images, and an encoder's folder, under the same path. The engine raises DataEngineError
    without Ray, or when a machine has other weights.
    """

    def encode(
        shards: Shards, root: Path, encoder: "Encoder | LazyEncoder", batch_size: int, on_progress: OnProgress
    ) -> Embedded:
        with ray_cluster("ray", "engine", "engine to local") as ray:
            for row in _encoded_rows(ray, shards, load, (str(root), encoder.weights_sha256, batch_size)):
                on_progress(len(shards[row["number"]]))
                yield row["number"], load_rows(io.BytesIO(row["embedded"]))

    return encode


def _encoded_rows(
    ray: Any, shards: Shards, load: Callable[[], "Encoder"], work: tuple[str, str, int]
) -> Iterator[Any]:
    """Each shard's `{number, embedded, fault}` as it is done; `work` is image root, weights' SHA-256, batch size."""
    try:
        from ray import data
    except ImportError as error:
        raise DataEngineError(
            f"engine: needs Ray Data ({error}); run: {install_command('ray')}, or set engine to local"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its execution plans would fill the log
    data.DataContext.get_current().enable_progress_bars = False
    nodes = node_resources(ray)
    count, share = shares(nodes, "ray", len(shards))
    # with GPUs, all CPUs are free for decoding; without, the model itself runs on the worker's CPUs
    threads = (
        int(sum(node.get("CPU", 0) for node in nodes)) // count if "num_gpus" in share else share["num_cpus"]
    )
    # lists of pairs travel as JSON bytes: Ray Data would turn them into Arrow or NumPy columns
    items = [{"number": n, "images": msgspec.json.encode(images)} for n, images in shards.items()]
    # one block and one call for each shard, so that workers take shards one by one
    rows = data.from_items(items, override_num_blocks=len(items)).map_batches(
        _ShardWorker,
        fn_constructor_args=(load, str(Path.cwd()), *work, max(1, int(threads))),
        batch_size=1,
        compute=data.ActorPoolStrategy(size=count),
        num_cpus=share["num_cpus"],
        num_gpus=share.get("num_gpus"),
    )
    for row in rows.iter_rows():
        if row["fault"]:
            raise DataEngineError(row["fault"])
        yield row


class _ShardWorker:
    """A Ray actor with an encoder; `folder` is the working directory that relative paths start from."""

    def __init__(
        self,
        load: Callable[[], "Encoder"],
        folder: str,
        root: str,
        weights: str,
        batch_size: int,
        threads: int,
    ) -> None:
        os.chdir(folder)
        self.load, self.root, self.weights = load, Path(root), weights
        self.batch_size, self.threads = batch_size, threads
        self.encoder: Encoder | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        number = int(rows["number"][0])
        try:
            embedded, fault = self._embed(number, rows["images"][0]), ""
        except DataEngineError as error:  # raised here, it would arrive as the text of an error of Ray Data
            embedded, fault = b"", str(error)
        return {"number": [number], "embedded": [embedded], "fault": [fault]}

    def _embed(self, number: int, images: bytes) -> bytes:
        # not in __init__: __call__ turns a DataEngineError of loading into a `fault`
        if self.encoder is None:
            self.encoder = self.load()
            if self.encoder.weights_sha256 != self.weights:
                raise DataEngineError(
                    f"{self.encoder.name}: a machine of the cluster has other weights under this name; give all "
                    "machines the same"
                )
        shards = {number: msgspec.json.decode(images, type=list[tuple[ImageId, str]])}
        ((_, embedded),) = encode_shards(
            shards, self.root, self.encoder, self.batch_size, lambda count: None, self.threads
        )
        stream = io.BytesIO()
        save_rows(stream, embedded)
        return stream.getvalue()
