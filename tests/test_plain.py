"""Plain data behaves as the standard library's dataclasses do, checked beside them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field
from functools import cached_property
from typing import Any

import pytest

from mediakit import plain


def make(decorator: Any, *, is_warm: bool = False, **options: Any) -> type[Any]:
    @decorator(**options)
    class Thing:
        """A thing."""

        name: str
        size_bytes: int = 5
        parts: list[int] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        note: str = field(default="", compare=False)
        late: str = field(init=False, default="late")
        made: list[int] = field(init=False, default_factory=list)

    for number in range(30 if is_warm else 0):  # the first are made in another way than the later ones
        Thing(str(number))
    return Thing


BOTH = [pytest.param(dataclasses.dataclass, id="standard"), pytest.param(plain.dataclass, id="plain")]


@pytest.mark.parametrize("decorator", BOTH)
@pytest.mark.parametrize("is_warm", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(
    "options", [{}, {"frozen": True}, {"eq": False}, {"frozen": True, "eq": False}], ids=str
)
class TestAsTheStandardOne:
    def test_values_defaults_and_fields(
        self, decorator: Any, options: dict[str, bool], is_warm: bool
    ) -> None:
        kind = make(decorator, is_warm=is_warm, **options)
        one, other = kind("a"), kind(name="b", parts=[1])
        assert (one.name, one.size_bytes, one.parts, one.late, one.made) == ("a", 5, [], "late", [])
        assert other.parts == [1] and kind("c").parts is not one.parts
        assert [f.name for f in dataclasses.fields(kind)] == [
            "name",
            "size_bytes",
            "parts",
            "secret",
            "note",
            "late",
            "made",
        ]
        assert kind.__match_args__ == ("name", "size_bytes", "parts", "secret", "note")

    def test_a_wrong_call_is_a_type_error(
        self, decorator: Any, options: dict[str, bool], is_warm: bool
    ) -> None:
        kind = make(decorator, is_warm=is_warm, **options)
        for _ in range(2):  # the first call and a later one
            with pytest.raises(
                TypeError, match=r"Thing.__init__\(\) missing 1 required positional argument: 'name'"
            ):
                kind()
            with pytest.raises(TypeError, match="unexpected keyword"):
                kind("a", colour="red")
            with pytest.raises(TypeError, match="multiple values for argument 'name'"):
                kind("a", name="b")
            with pytest.raises(TypeError, match="takes from 2 to 6 positional arguments but 8 were given"):
                kind("a", 1, [], "", "", "late", "no")

    def test_secrets_are_not_shown(self, decorator: Any, options: dict[str, bool], is_warm: bool) -> None:
        shown = repr(make(decorator, is_warm=is_warm, **options)("a", secret="hush"))
        assert shown.endswith("Thing(name='a', size_bytes=5, parts=[], note='', late='late', made=[])")

    def test_equality_and_hash(self, decorator: Any, options: dict[str, bool], is_warm: bool) -> None:
        kind = make(decorator, is_warm=is_warm, **options)
        same = kind("a", note="x") == kind("a", note="y")
        assert same is options.get("eq", True)
        assert kind("a") != kind("b") and kind("a") != "a"
        if not options.get("eq", True):
            assert len({kind("a"), kind("a")}) == 2
        elif not options.get("frozen"):
            with pytest.raises(TypeError, match="unhashable"):
                hash(kind("a"))

    def test_frozen_is_frozen(self, decorator: Any, options: dict[str, bool], is_warm: bool) -> None:
        one = make(decorator, is_warm=is_warm, **options)("a")
        if options.get("frozen"):
            with pytest.raises(dataclasses.FrozenInstanceError):
                one.name = "b"
            with pytest.raises(dataclasses.FrozenInstanceError):
                del one.name
        else:
            one.name = "b"
            assert one.name == "b"

    def test_replace_asdict_and_copies(self, decorator: Any, options: dict[str, bool], is_warm: bool) -> None:
        one = dataclasses.replace(make(decorator, is_warm=is_warm, **options)("a", parts=[1]), size_bytes=7)
        assert dataclasses.asdict(one)["parts"] == [1] and one.size_bytes == 7
        for twin in (copy.copy(one), copy.deepcopy(one)):
            assert twin.name == "a" and (twin == one) is options.get("eq", True)


@plain.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of the edge")

    @cached_property
    def sum(self) -> int:
        return self.x + self.y


@plain.dataclass(frozen=True)
class Point3(Point):
    z: int = 0


@plain.dataclass
class OddEquality:
    x: int

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@plain.dataclass(frozen=True, slots=True)
class Slotted:
    x: int


def test_the_first_instance_may_be_one_of_a_child_class() -> None:
    assert dataclasses.astuple(Point3(1, 2, 3)) == (1, 2, 3) and Point(1) != Point3(1)


def test_post_init_can_refuse_and_cached_properties_work() -> None:
    assert Point(2, 3).sum == 5
    with pytest.raises(ValueError, match="edge"):
        Point(-1)


def test_hashes_and_patterns() -> None:
    assert {Point(1, 2): "here"}[Point(1, 2)] == "here" and pickle.loads(pickle.dumps(Point(1, 2))) == Point(
        1, 2
    )
    match Point(4, 5):
        case Point(x, y):
            assert (x, y) == (4, 5)


def test_an_own_equality_stays() -> None:
    assert OddEquality(1) == OddEquality(2) and OddEquality.__hash__ is None


def test_slots_are_slots() -> None:
    assert not hasattr(Slotted(1), "__dict__")


def test_a_mutable_default_is_refused_as_ever() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @plain.dataclass
        class Wrong:
            parts: list[int] = []  # noqa: RUF012


@pytest.mark.parametrize("decorator", BOTH)
def test_a_field_may_have_the_name_of_what_methods_are_given(decorator: Any) -> None:
    @decorator(frozen=True)
    class Named:
        self: int
        values: int = 2
        named: int = 3

    for number in range(30):
        assert Named(number).self == number == Named(self=number).self
    assert dataclasses.replace(Named(1), self=4, values=5) == Named(4, 5, 3)
