"""The workers of a job, and what each of them gets at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import ray.data

from ..errors import InputError

# Bytes of recordings that end a batch, so that one of long recordings is not much more to do again than one of short ones.
MOST_BYTES = 256 << 20
# Batches for each worker, where there are enough recordings, so that all end at about the same time.
FOR_EACH = 8


@dataclass(frozen=True)
class Pool:
    """The workers: actors of Ray Data."""

    fewest: int | None
    """None: as many as there may be, unless others need room too."""
    most: int
    batch_size: int
    actors: dict[str, Any]
    """Ray's options of each."""

    @classmethod
    def of(
        cls,
        concurrency: int | tuple[int, int] | None,
        num_cpus: float,
        num_gpus: float,
        batch_size: int,
        ray_options: Mapping[str, Any],
    ) -> Pool:
        """The pool that these options describe."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size {batch_size!r}: must be a whole number, at least 1")
        if not (num_cpus >= 0 and num_gpus >= 0 and num_cpus + num_gpus > 0):
            raise InputError(f"num_cpus {num_cpus!r}, num_gpus {num_gpus!r}: must not be negative, and not both 0")
        # Ray Data starts a worker that died, and gives it its batch again, as often as it takes, unless ray_options say less.
        actors = {"num_cpus": num_cpus, "num_gpus": num_gpus, **ray_options}
        if concurrency is None:
            return cls(None, _room(num_cpus, num_gpus), batch_size, actors)
        fewest, most = (concurrency, concurrency) if isinstance(concurrency, int) else concurrency
        if not 1 <= fewest <= most:
            raise InputError(f"concurrency {concurrency!r}: must be a number of workers, or the fewest and the most")
        return cls(fewest, most, batch_size, actors)

    def options(self, *, shared: bool) -> dict[str, Any]:
        """As Ray Data takes them. ``shared``: the work that makes the inputs needs room in the cluster at the same time."""
        fewest = self.fewest or (1 if shared else self.most)
        return {"compute": ray.data.ActorPoolStrategy(min_size=fewest, max_size=self.most), **self.actors}

    def batches(self, sizes: Sequence[int]) -> list[range]:
        """Divides recordings of these sizes in bytes, in their order."""
        count = max(1, min(self.batch_size, len(sizes) // (FOR_EACH * self.most)))
        batches, first, held = [], 0, 0
        for index, size in enumerate(sizes):
            if index > first and (index - first == count or held + size > MOST_BYTES):
                batches.append(range(first, index))
                first, held = index, 0
            held += size
        return [*batches, range(first, len(sizes))]


def _room(num_cpus: float, num_gpus: float) -> int:
    """How many workers the cluster has room for."""
    if not ray.is_initialized():
        ray.init()
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    needs = {"CPU": num_cpus, "GPU": num_gpus}
    return max(1, min(int(there.get(name, 0) / need) for name, need in needs.items() if need))
