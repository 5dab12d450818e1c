"""Classes found by their file: a new one in a module of its own needs no registration."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import ClassVar, Protocol, TypeVar

T = TypeVar("T")


class _Named(Protocol):
    name: ClassVar[str]


N = TypeVar("N", bound=_Named)


def find_classes(package: str, base: type[T]) -> list[type[T]]:
    """Import all modules of `package`; return the concrete subclasses of `base` that they define.

    Modules come in alphabetical order. A class imported from elsewhere belongs to its own module.
    """
    found: list[type[T]] = []
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, base)
            and not inspect.isabstract(value)
            and value.__module__ == module.__name__
        ]
    return found


def find_named(package: str, base: type[N]) -> dict[str, type[N]]:
    """Return the classes that `find_classes` finds, by `name` and in its order."""
    return dict(sorted((kind.name, kind) for kind in find_classes(package, base)))
