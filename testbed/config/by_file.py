"""Classes found by their file: a new one in a module of its own needs no registration."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

T = TypeVar("T")


class _Named(Protocol):
    name: ClassVar[str]


N = TypeVar("N", bound=_Named)


def find_classes(package: str, base: type[T]) -> list[type[T]]:
    """Import all modules of `package`; return the concrete subclasses of `base` that they define.

    Modules come in alphabetical order. A class imported from elsewhere belongs to its own module.
    Raises OSError if the folder cannot be read, and TypeError if there is no such class.
    """
    found: list[type[T]] = []
    path = importlib.import_module(package).__path__
    for folder in path:
        list(Path(folder).iterdir())  # iter_modules takes one that cannot be read for empty
    for info in pkgutil.iter_modules(path):
        module = importlib.import_module(f"{package}.{info.name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, base)
            and not inspect.isabstract(value)
            and value.__module__ == module.__name__
        ]
    if not found:
        raise TypeError(f"{package} has no {base.__name__}")
    return found


def keyed(found: Iterable[type[T]], keys: Callable[[type[T]], Iterable[str]]) -> dict[str, type[T]]:
    """Return the classes by their keys, in the order given.

    Raises TypeError, naming both classes, if two have the same key: neither may hide the other.
    """
    classes: dict[str, type[T]] = {}
    for kind in found:
        for key in keys(kind):
            if key in classes:
                both = " and ".join(f"{k.__module__}.{k.__name__}" for k in (classes[key], kind))
                raise TypeError(f"'{key}' names two classes, {both}; give each a name of its own")
            classes[key] = kind
    return classes


def find_named(package: str, base: type[N]) -> dict[str, type[N]]:
    """Return the classes that `find_classes` finds, by `name`, sorted."""
    return dict(sorted(keyed(find_classes(package, base), lambda kind: [kind.name]).items()))
