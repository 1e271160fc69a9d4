"""Results as rows. Workers let the pipeline write to a folder of their own, and read the samples from there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow
import ray.data

from .. import _partwise
from .._options import rate, signal
from .._types import AnyPath, Stem
from ..errors import Error, InputError, OptionError
from .files import listed
from .job import Job
from .pool import Pool

_KEPT = ("status", "error", "seconds", "engine", "warnings")


def separated(inputs: ray.data.Dataset | AnyPath | Iterable[AnyPath], job: Job, pool: Pool) -> ray.data.Dataset:
    """A data set with the samples of each source."""
    for option, value in [("name", job.name), ("resume", job.resume), ("format", job.options.get("format"))]:
        if value:
            raise OptionError(f"{option}: is for results as files; name their folder by output, or leave it out")
    job = replace(job, options={**job.options, "format": "wav-f32"})
    job.plan([])
    shared = isinstance(inputs, ray.data.Dataset)
    if isinstance(inputs, ray.data.Dataset):
        # None where they are not known before the data set is computed. Then the workers check them.
        columns = inputs.columns(fetch_if_missing=False)
        only, known = job.options.get("only"), [] if job.model is None else job.model.sources
        _check(columns or ["path"], [only] if only else known)
        size = pool.batch_size
    else:
        found = [name for name, *_ in listed(inputs, None)]
        batches = pool.batches([0] * len(found))
        inputs = ray.data.from_arrow([pyarrow.table({"path": [found[index] for index in batch]}) for batch in batches])
        size = len(batches[0])
    settings = {"job": job, "current": os.getcwd()}
    given: dict[str, Any] = {"batch_size": size, "batch_format": "numpy", "fn_constructor_kwargs": settings}
    return inputs.map_batches(Worker, **given, **pool.options(shared=shared))


class Worker:
    """Separates batches of rows."""

    def __init__(self, job: Job, current: str) -> None:
        self._current = current
        # It is there during a batch only: Ray ends workers without telling them.
        self._folder = Path(gettempdir()) / f"partwise-{uuid4().hex}"
        self._batches = replace(job, output=str(self._folder)).opened()
        self._sources = self._batches.sources

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        _check(batch, self._sources)
        count = len(next(iter(batch.values())))
        self._folder.mkdir(mode=0o700)
        try:
            files = [self._file(batch, index) for index in range(count)]
            # Rows of the same file share its results.
            planned = {file[0]: file for file in reversed(files)}
            lines = {line["input"]: line for line in json.loads(self._batches.separate(list(planned.values())))}
            stems = {name: self._stems(lines[name], planned[name][2]) for name in planned}
            rows = [self._row(lines[name], stems[name], batch, index) for index, (name, *_) in enumerate(files)]
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return {**batch, **{name: _column([row[name] for row in rows]) for name in rows[0]}}

    def _file(self, batch: dict[str, Any], index: int) -> tuple[str, str | None, list[str]]:
        """A row as a file, why it is none, and where its results go."""
        outputs = [str(self._folder / f"{index}.{number}.wav") for number in range(len(self._sources))]
        if "samples" not in batch:
            return os.path.join(self._current, str(batch["path"][index])), None, outputs
        file, problem = str(self._folder / f"{index}.wav"), None
        try:
            _partwise.write_recording(file, signal(batch["samples"][index]), rate(batch["sample_rate"][index]))
        except Error as cause:
            problem = str(cause)
        return file, problem, outputs

    def _stems(self, line: dict[str, Any], outputs: list[str]) -> list[Stem]:
        if line["status"] != "done":
            return [np.zeros((max(1, line["channels"]), 0), np.float32) for _ in outputs]
        return [_partwise.read_recording(output)[0] for output in outputs]

    def _row(self, line: dict[str, Any], stems: list[Stem], batch: dict[str, Any], index: int) -> dict[str, Any]:
        kept = {name: line[name] for name in _KEPT}
        if "samples" in batch:
            # It has no name that tells a user anything.
            kept["error"] = kept["error"] and kept["error"].replace(line["input"], "samples")
            if np.ndim(batch["samples"][index]) == 1:
                stems = [stem[0] for stem in stems]
        return {**kept, **dict(zip(self._sources, stems))}


def _check(columns: Collection[str], sources: Iterable[str]) -> None:
    """Refuses columns that do not do as inputs."""
    taken = {*_KEPT, *sources} & set(columns)
    if taken:
        raise InputError(f"inputs: have a column '{min(taken)}', which the results need; rename it")
    if "samples" not in columns and "path" not in columns:
        raise InputError("inputs: have no column 'path', and no 'samples'; name one of them so")
    if "samples" in columns and "sample_rate" not in columns:
        raise InputError("inputs: have samples, and no column 'sample_rate'; give it in Hz")


def _column(values: list[Any]) -> np.ndarray:
    """Values that may be arrays of several shapes."""
    column = np.empty(len(values), object)
    for index, value in enumerate(values):
        column[index] = value
    return column
