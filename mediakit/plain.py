"""Plain data that costs nothing until it is used: ``dataclass`` as in the standard library, made lazily.

The standard decorator compiles six functions a class when its module is imported, 0.8 ms each time: for all
the parts of a boot image that is more than reading one takes, and seconds on an emulated machine. This one
leaves the fields to ``dataclasses`` (``fields``, ``replace``, ``asdict`` and pattern matching work), shares
what all classes have in common, and compiles ``__init__`` when the first instance is made. It checks no
values and knows what the project uses: ``frozen``, ``eq``, ``slots``, and all of ``field`` but ``kw_only``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

_FIRST_INSTANCES = 20


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 (a type checker sees the standard one)
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, slots=False):
        """``dataclasses.dataclass`` with these options."""

        def decorate(cls):
            if slots:
                return dataclasses.dataclass(frozen=frozen, eq=eq, slots=True)(cls)
            return _decorate(cls, frozen, eq)

        return decorate if cls is None else decorate(cls)


def _decorate(cls: type[Any], frozen: bool, eq: bool) -> type[Any]:
    own = dict(cls.__dict__)
    cls.__doc__ = cls.__doc__ or cls.__name__  # dataclasses would work out a signature
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    methods: dict[str, Any] = {"__init__": _first_init(cls, frozen), "__repr__": _repr}
    if frozen:
        methods |= {"__setattr__": _refuse_set, "__delattr__": _refuse_delete}
    if eq:
        methods |= _comparison(cls, frozen)
    for name, method in methods.items():
        if own.get(name) is None:  # a class with __eq__ of its own has None as __hash__
            setattr(cls, name, method)
    return cls


def _first_init(cls: type[Any], frozen: bool) -> Any:
    """The ``__init__`` of the first instances: for a few of them compiling one would take longer."""
    left = _FIRST_INSTANCES

    def __init__(_self: Any, /, *values: Any, **named: Any) -> None:  # noqa: N807 (a field may be “self”)
        nonlocal left
        left -= 1
        if left < 0 or not _fill(_self, dataclasses.fields(cls), values, named):
            cls.__init__ = _make_init(cls, frozen)
            cls.__init__(_self, *values, **named)
        elif hasattr(cls, "__post_init__"):
            _self.__post_init__()

    return __init__


def _fill(self: Any, fields: tuple[dataclasses.Field[Any], ...], values: Any, named: dict[str, Any]) -> bool:
    """Set every field of ``self`` as a compiled ``__init__`` would; False if the call is a wrong one."""
    at = used = 0
    for one in fields:
        name = one.name
        if not one.init:
            if one.default_factory is not MISSING:
                object.__setattr__(self, name, one.default_factory())
            elif one.default is not MISSING:
                object.__setattr__(self, name, one.default)
            continue
        if at < len(values):
            if name in named:
                return False
            value = values[at]
        elif name in named:
            value = named[name]
            used += 1
        elif one.default_factory is not MISSING:
            value = one.default_factory()
        elif one.default is not MISSING:
            value = one.default
        else:
            return False
        at += 1
        object.__setattr__(self, name, value)
    return at >= len(values) and used == len(named)


def _make_init(cls: type[Any], frozen: bool) -> Any:
    """The ``__init__`` that dataclasses describes: parameters in the order of the fields, then post-init."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    parameters, body = ["_self", "/"], []
    for one in dataclasses.fields(cls):
        value = name = one.name
        if one.default_factory is not MISSING:
            scope[f"_make_{name}"] = one.default_factory
            value = f"_make_{name}()" if not one.init else f"_make_{name}() if {name} is _missing else {name}"
            parameters += [f"{name}=_missing"] if one.init else []
        elif one.default is not MISSING:
            scope[f"_default_{name}"] = one.default
            value = name if one.init else f"_default_{name}"
            parameters += [f"{name}=_default_{name}"] if one.init else []
        elif one.init:
            parameters.append(name)
        else:
            continue
        body.append(f"_set(_self, {name!r}, {value})" if frozen else f"_self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("_self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body or ["pass"]), scope)
    made = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # named in the TypeError of a wrong call
    return made


def _comparison(cls: type[Any], frozen: bool) -> dict[str, Any]:
    """``__eq__`` and ``__hash__`` over the fields that compare."""
    names = [one.name for one in dataclasses.fields(cls) if one.compare]
    key: Any = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(key(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr]
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_set(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
