"""The exceptions of partwise. Each message is one line: the thing, the cause, and what to do.

All of them are :class:`Error`. Each also is the built-in exception that Python's libraries raise for such a mistake, so
``except ValueError`` and ``except OSError`` work as usual.

Examples
--------
>>> import partwise
>>> try:
...     partwise.Model.load("missing.safetensors")
... except FileNotFoundError as error:
...     print(error)
missing.safetensors: cannot read: No such file or directory (os error 2)
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "DivergedError",
    "EngineError",
    "Error",
    "FileError",
    "InputError",
    "MissingFileError",
    "ModelError",
    "OptionError",
]


class Error(Exception):
    """An error of partwise."""


class InputError(Error, ValueError):
    """An argument or a matrix is out of range. The caller can correct it."""


class OptionError(InputError):
    """An option is unknown, belongs to another method, or has a value that does not fit.

    Attributes
    ----------
    option : str
        The name of the option.
    """

    option: str


class AudioError(Error, ValueError):
    """A recording is unusable: not audio, broken, empty, or with samples that are not finite.

    Attributes
    ----------
    filename : str
        The recording.
    """

    filename: str


class ModelError(Error, ValueError):
    """A file is not a model, is damaged, was written by a later version, or does not fit the request.

    Attributes
    ----------
    filename : str
        The model file.
    """

    filename: str


class FileError(Error, OSError):
    """A file or folder could not be read or written.

    Attributes
    ----------
    filename : str
        The file or folder.
    errno : int or None
        The number of the operating system's reason.
    """

    def __str__(self) -> str:
        # OSError would make a sentence of its own from the number and the name.
        return str(self.args[0]) if self.args else ""


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder does not exist."""


class DivergedError(Error, ArithmeticError):
    """The objective became NaN or infinite."""


class EngineError(Error, RuntimeError):
    """The engine cannot start, or stopped."""
