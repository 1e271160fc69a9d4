"""Progress bars, if tqdm is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def following(progress: object, what: str) -> Iterator[Callable[[float], object] | None]:
    """What is called with the share of the work that is done: a bar for True, or what was given."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with bar(what, total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as shown:
            yield lambda share: shown.update(share - shown.n)
    else:
        yield called(progress)


def called(progress: object) -> Callable[..., object]:
    """A callable, or an error that says what to give."""
    if not callable(progress):
        raise TypeError(f"progress: is {progress!r}; use True, False or a callable")
    return progress


def bar(what: str, **options: Any) -> Any:
    """A bar of tqdm."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True: needs tqdm; install partwise[progress], or give a callable") from None
    return tqdm(desc=what, **options)
