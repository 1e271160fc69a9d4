"""What all workers of a job have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from .. import _partwise
from .._options import described
from ..model import Model
from .gpus import given_gpu


@dataclass(frozen=True)
class Job:
    """A job, as it travels to the workers."""

    output: str | None
    model: Model | None
    engine: str | None
    """None: the GPU that Ray gives a worker."""
    name: str | None
    resume: bool
    memory: int | None
    options: dict[str, Any]

    def way(self) -> dict[str, Any]:
        """How it goes, as the extension takes it."""
        return {
            "inputs": [],
            "output": self.output or "",
            "name": self.name,
            "resume": self.resume,
            "shard": None,
            "memory": self.memory,
            "stop_on_error": False,
            "engine": self.engine or "gpu",
        }

    def plan(self, inputs: list[tuple[str, str, str | None]]) -> list[tuple[str, str | None, list[str]]]:
        """The outputs of all inputs. Options are checked even where there are none."""
        return _partwise.plan_files(inputs, self.way(), self._trained(), described(self.options))

    def opened(self) -> _partwise.Batches:
        """The pipeline of a worker, which has read the manifest if the job resumes."""
        engine = self.engine or given_gpu(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        return _partwise.Batches({**self.way(), "engine": engine}, self._trained(), described(self.options))

    def _trained(self) -> _partwise.Model | None:
        return None if self.model is None else self.model._model
