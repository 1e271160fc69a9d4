"""Many files: the pipeline of ``partwise separate``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from . import _partwise
from ._options import described, path
from ._progress import bar, called
from ._types import AnyPath
from .errors import InputError
from .model import Model, loaded


class Progress(NamedTuple):
    """How far a job is."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


@dataclass(frozen=True)
class Summary:
    """What a run of :func:`separate_files` amounts to."""

    manifest: Path
    """``manifest.jsonl``, in which every file that ended has a line."""
    files: int
    """The files of this run, or of its shard."""
    done: int
    """Separated by this run."""
    resumed: int
    """Done by an earlier run."""
    failed: int
    """Could not be separated; see :attr:`failures`."""
    left: int
    """Not begun, or not finished."""
    full: bool
    """Whether there was no room for more results."""
    left_out: dict[str, int]
    """Audio files in folders of kinds that are not read, by the ends of their names."""
    audio_seconds: float
    """The length of what this run has done."""
    wall_seconds: float
    """The time that it took."""
    engine: str
    """The engine, or the engines."""
    engine_busy: float
    """The share of the time in which it was computing."""
    error: str | None
    """Why the run ended early, if it did: no engine was left, or the manifest could not be written."""
    results: list[dict[str, Any]] = field(repr=False)
    """A line of the manifest for every file that this run ended."""

    @property
    def failures(self) -> dict[str, str]:
        """Why each file failed, by its path."""
        return {str(one["input"]): one["error"] for one in self.results if one["status"] == "failed"}


def separate_files(
    inputs: AnyPath | Iterable[AnyPath],
    output: AnyPath,
    model: Model | AnyPath | None = None,
    *,
    name: str | None = None,
    resume: bool = False,
    shard: str | None = None,
    memory: int | None = None,
    on_error: str = "continue",
    engine: str = "auto",
    progress: bool | Callable[[Progress], object] | None = None,
    **options: Any,
) -> Summary:
    """Separate many files into files of each source, by the pipeline of ``partwise separate``.

    Memory is bounded: it grows neither with the number of files nor, with a model, with their length. A file that cannot be
    separated fails alone. An interrupted job goes on with ``resume=True``, and the command and this function resume each
    other's jobs.

    Parameters
    ----------
    inputs : str, os.PathLike, or a list of them
        Files, folders, globs, ``@list.txt`` or ``@list.jsonl``.
    output : str or os.PathLike
        The folder for the results, one file a source, and for ``manifest.jsonl``.
    model : Model, str or os.PathLike, optional
        The model, or its file. Without one, ``method`` must be one that needs none.
    name : str, default "{stem}.{source}.{ext}"
        The names of the results.
    resume : bool, default False
        Skip files that the manifest proves done: the same input, model and options, and outputs that are there.
    shard : str, optional
        ``"I/N"``: the I-th of N parts of the inputs, I from 1.
    memory : int, optional
        Bytes for panels, on the host and on each device.
    on_error : {"continue", "stop"}, default "continue"
        What happens to the other files when one fails.
    engine : str, default "auto"
        As for :func:`partwise.train`, and ``"gpu:all"`` for every GPU.
    progress : bool or callable, optional
        None shows a bar if tqdm is there and stderr is a terminal. True shows one in any case, False none. A callable gets a
        :class:`Progress`; an exception of it ends the job.
    **options
        The options of ``partwise separate``, with ``_`` for ``-``.

    Returns
    -------
    Summary
        Counts, failures with their reasons, and the path of the manifest.

    Raises
    ------
    OptionError, InputError, ModelError, FileError, EngineError
        Nothing could begin. Once files are being separated, failures are in the summary.
    KeyboardInterrupt
        Ctrl-C was pressed. Files in progress are finished first.

    Examples
    --------
    >>> import numpy as np, partwise, tempfile
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    >>> model = partwise.train({"noise": noise, "hum": np.sin(np.arange(16000) / 20)}, sr=16000, rank=2, engine="cpu")
    >>> folder = tempfile.mkdtemp()
    >>> summary = partwise.separate_files("examples/audio/piano/test", folder, model, engine="cpu", progress=False)
    >>> summary.done, summary.failed, summary.manifest.name
    (2, 0, 'manifest.jsonl')
    """
    if on_error not in ("continue", "stop"):
        raise InputError(f"on_error {on_error!r}: use 'continue' or 'stop'")
    if memory is not None and memory <= 0:
        raise InputError(f"memory {memory}: must be a number of bytes above 0")
    listed = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    way = {
        "inputs": [path(one) for one in listed],
        "output": os.fspath(output),
        "name": name,
        "resume": resume,
        "shard": shard,
        "memory": memory,
        "stop_on_error": on_error == "stop",
        "engine": engine,
    }
    with _following(progress) as watch:
        summary = _partwise.separate_files(way, loaded(model), described(options), watch)
    return Summary(manifest=Path(output) / "manifest.jsonl", **json.loads(summary))


@contextmanager
def _following(progress: object) -> Iterator[Callable[..., object] | None]:
    shown = None
    if progress is None or progress is True:
        try:
            # tqdm's None: only on a terminal.
            shown = bar("separating", unit="B", unit_scale=True, disable=None if progress is None else False)
        except ImportError:
            if progress:
                raise
    if shown is None:
        watch = called(progress) if progress not in (None, False) else None
        yield (lambda *figures: watch(Progress(*figures))) if watch else None
        return
    with shown:

        def follow(done: int, total: int, ended: int, files: int) -> None:
            shown.total = total
            shown.set_postfix_str(f"{ended} of {files} files", refresh=False)
            shown.update(done - shown.n)

        yield follow
