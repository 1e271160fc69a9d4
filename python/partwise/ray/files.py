"""Results as files. Names are planned by this process; workers write the files, and the lines of one manifest."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterable
from typing import Any

import ray.data

from .. import _partwise
from .._options import path
from .._types import AnyPath
from ..errors import InputError
from .job import Job
from .pool import Pool

# What a row has of its line of the manifest.
_KEPT = ("status", "error", "seconds", "channels", "sample_rate", "outputs", "engine", "warnings")
_Listed = tuple[str, str, "str | None"]


def separated(inputs: ray.data.Dataset | AnyPath | Iterable[AnyPath], job: Job, pool: Pool) -> ray.data.Dataset:
    """Separates files. Returns a row for each."""
    if isinstance(inputs, ray.data.Dataset):
        rows = inputs.take_all()
        found = [_of_row(row) for row in rows]
    else:
        found = listed(inputs, job.output)
        rows = [{"path": name} for name, *_ in found]
    # Rows of the same file share its results.
    files: dict[str, tuple[_Listed, list[dict[str, Any]]]] = {}
    for one, row in zip(found, rows):
        files.setdefault(one[0], (one, []))[1].append(row)
    planned = job.plan([one for one, _ in files.values()])
    tasks = [(file, same) for file, (_, same) in zip(planned, files.values())]
    # A batch is one pickled row: Ray Data would join small blocks of rows, and convert what is only passed on.
    sizes = [_size(name) for name in files]
    batches = [{"batch": pickle.dumps([tasks[index] for index in batch])} for batch in pool.batches(sizes)]
    given = ray.data.from_items(batches, override_num_blocks=len(batches))
    return given.flat_map(Worker, fn_constructor_kwargs={"job": job}, **pool.options(shared=False)).materialize()


def listed(inputs: AnyPath | Iterable[AnyPath], output: str | None) -> list[_Listed]:
    """The files that inputs stand for: the path of each, its folder below the one that was named, and why it cannot be read."""
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    return _partwise.list_files([path(one) for one in given], output)


def _of_row(row: dict[str, Any]) -> _Listed:
    if "path" not in row:
        raise InputError("inputs: results as files need a column 'path'; leave output out to get rows")
    if "samples" in row:
        raise InputError("inputs: have samples, and results as files are those of files; leave output out to get rows")
    taken = set(_KEPT) & row.keys()
    if taken:
        raise InputError(f"inputs: have a column '{min(taken)}', which the results need; rename it")
    return os.path.abspath(path(row["path"])), "", None


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        # It fails when its turn comes.
        return 0


class Worker:
    """Separates batches of files."""

    def __init__(self, job: Job) -> None:
        self._batches = job.opened()

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        tasks = pickle.loads(row["batch"])
        lines = {line["input"]: line for line in json.loads(self._batches.separate([file for file, _ in tasks]))}
        found = [(rows, {name: lines[file[0]][name] for name in _KEPT}) for file, rows in tasks]
        return [{**row, **result} for rows, result in found for row in rows]
