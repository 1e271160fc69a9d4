"""Separation on the machines of a Ray cluster, by a pool of workers with an engine each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

try:
    import ray.data
except ImportError as cause:
    raise ImportError(f"partwise.ray needs Ray Data ({cause}); install partwise[ray]") from None

from .._options import path
from .._types import AnyPath
from ..model import Model, loaded
from . import files, rows
from .job import Job
from .pool import Pool

__all__ = ["separate"]


def separate(
    inputs: ray.data.Dataset | AnyPath | Iterable[AnyPath],
    model: Model | AnyPath | None = None,
    output: AnyPath | None = None,
    *,
    concurrency: int | tuple[int, int] | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_size: int = 64,
    name: str | None = None,
    resume: bool = False,
    memory: int | None = None,
    engine: str | None = None,
    ray_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ray.data.Dataset:
    """Separate recordings by a pool of workers, into files or into rows.

    A worker is an actor of Ray Data. It opens its engine once, and separates batch after batch by the pipeline of
    :func:`partwise.separate_files`, so results have the same bytes. Ray gives it the next batch when it is free. A worker that
    dies is started again and gets its batch again. In a new folder it skips files that it had done. Otherwise it writes the
    same bytes again. A recording that cannot be separated fails alone, and its row says why.

    Parameters
    ----------
    inputs : str, os.PathLike, a list of them, or ray.data.Dataset
        Files, folders, globs and lists, as for :func:`partwise.separate_files`. Or a data set with a column ``path``, of files;
        or with ``samples``, (N,) or (C, N) in floats, and ``sample_rate`` in Hz. Its other columns stay.
    model : Model, str or os.PathLike, optional
        The model, or its file, which only this process reads. Without one, ``method`` must be one that needs none.
    output : str or os.PathLike, optional
        The folder for files and ``manifest.jsonl``. All workers must reach it and the recordings by the same absolute paths.
        Without it, results are rows.
    concurrency : int or (int, int), optional
        The number of workers, or the fewest and the most. By default, as many as the cluster has room for.
    num_cpus : float, default 1
        The cores of a worker; its engine has as many threads.
    num_gpus : float, default 0
        The GPUs of a worker: 1, or a share of one. Its engine is the GPU that Ray gives it.
    batch_size : int, default 64
        The most recordings that a worker gets at once. There are fewer in a batch of files where recordings are long, or where
        there are few for each worker.
    name : str, default "{stem}.{source}.{ext}"
        The names of the files. They are planned for all inputs together, as by the command.
    resume : bool, default False
        Skip files that the manifest proves done, by whatever way of partwise they were.
    memory : int, optional
        Bytes for the panels of a worker, on the host and on its GPU.
    engine : str, optional
        The engine of every worker, as for :func:`partwise.train`. By default the GPU that Ray gives, or ``"cpu:NUM_CPUS"``.
    ray_options : dict, optional
        More of Ray's options for the workers, such as ``{"memory": 2**31, "accelerator_type": "T4"}``.
    **options
        The options of ``partwise separate``, with ``_`` for ``-``.

    Returns
    -------
    ray.data.Dataset
        A row for every input, in any order. Beside its own columns it has ``status`` (``"done"`` or ``"failed"``), ``error``
        (why it failed, or None), ``seconds``, ``engine`` and ``warnings``.

        With ``output``, everything is done when this returns, and a row also has ``path``, ``channels``, ``sample_rate`` and
        ``outputs``, its files. Without, rows are computed when they are read, and have the samples of each source in a column
        of its name: float32, in the shape of ``samples``, or (C, N) where a file was given; empty where it failed.

    Raises
    ------
    OptionError, InputError, ModelError, FileError
        Nothing could begin.
    ray.exceptions.RayError
        A worker could not open its engine, or there is no room for results. The same call with ``resume=True`` does what is
        left.

    Examples
    --------
    >>> import partwise.ray, ray
    >>> rows = partwise.ray.separate("recordings/", "model.safetensors", "separated/")      # doctest: +SKIP
    >>> rows.filter(lambda row: row["status"] == "failed").show()                           # doctest: +SKIP
    >>> clips = ray.data.read_parquet("clips.parquet")                                      # doctest: +SKIP
    >>> partwise.ray.separate(clips, "model.safetensors").write_parquet("separated/")       # doctest: +SKIP
    """
    pool = Pool.of(concurrency, num_cpus, num_gpus, batch_size, ray_options or {})
    known = loaded(model)
    folder = None if output is None else os.path.abspath(path(output))
    job = Job(
        output=folder,
        model=None if known is None else Model(known),
        engine=engine or (None if num_gpus else f"cpu:{max(1, int(num_cpus))}"),
        name=name,
        # All lines of a new manifest are this job's: a worker that is started again skips what it has done.
        resume=resume or (folder is not None and not os.path.exists(os.path.join(folder, "manifest.jsonl"))),
        memory=memory,
        options=options,
    )
    if output is None:
        return rows.separated(inputs, job, pool)
    return files.separated(inputs, job, pool)
