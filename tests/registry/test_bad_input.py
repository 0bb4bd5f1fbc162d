"""What a caller may get wrong: each is a clear error of our own tree, and not one byte is written."""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from casreg.exceptions import (
    CasregError,
    DestinationError,
    InvalidArgumentError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
    MaterializationError,
    MaterializerError,
    NoMaterializerError,
    ObjectNotFoundError,
    SourceNotFoundError,
    UnsupportedSourceError,
    VersionConflictError,
)
from casreg.registry import Registry
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend

BIG = text(200_000)

NOT_FLAGS: list[Any] = ["no", "false", "", None, 0, 1, []]

NOT_NAMES: list[Any] = [
    "",
    "invalid_name",
    "../x",
    "-rf",
    "a@b@c",
    "@1.0.0",
    "name@",
    "a/b",
    "a b",
    "a::b",
    ":a",
    "a:",
    ".hidden",
    "name\n",
    "a\0b",
    "naïve",
    "~upload-0af3",
    "x" * 5000,
    None,
    5,
    b"bytes",
    Path("name"),
]


@dataclass(frozen=True)
class Mistake:
    """A call that is wrong, the error that it has to raise, and a word that the message has to hold."""

    call: Callable[[Any], object]
    error: type[Exception]
    word: str = ""
    label: str = field(default="", compare=False)


class Unknown:
    """Nothing knows how to save it."""


def _mistakes() -> dict[str, Mistake]:
    nan = math.nan
    return {
        # versions
        "save-version": Mistake(lambda r: r.save("thing", BIG, version="one"), InvalidVersionError, "one"),
        "save-latest": Mistake(
            lambda r: r.save("thing", BIG, version="latest"), InvalidVersionError, "latest"
        ),
        "save-range": Mistake(lambda r: r.save("thing", BIG, version=">=1"), InvalidVersionError, ">=1"),
        "save-empty-version": Mistake(lambda r: r.save("thing", BIG, version=""), InvalidVersionError),
        "save-int-version": Mistake(lambda r: r.save("thing", BIG, version=1), InvalidVersionError),
        "save-at-tag": Mistake(lambda r: r.save("thing@prod", BIG), InvalidVersionError, "prod"),
        "save-two-versions": Mistake(
            lambda r: r.save("thing@1.0.0", BIG, version="2.0.0"), InvalidArgumentError, "2.0.0"
        ),
        "save-bump": Mistake(lambda r: r.save("thing", BIG, bump="huge"), InvalidArgumentError, "huge"),
        "save-bump-new-name": Mistake(
            lambda r: r.save("new", "x", bump="huge"), InvalidArgumentError, "huge"
        ),
        "load-version": Mistake(lambda r: r.load("thing", "1.0.0.0"), InvalidVersionError, "1.0.0.0"),
        "load-range": Mistake(lambda r: r.load("thing", ">=one"), InvalidVersionError, ">=one"),
        "load-int": Mistake(lambda r: r.load("thing", 1), InvalidVersionError),
        "load-at-and-version": Mistake(
            lambda r: r.load("thing@1.0.0", "1.0.1"), InvalidArgumentError, "1.0.1"
        ),
        "delete-range": Mistake(lambda r: r.delete("thing@^1"), InvalidVersionError, "^1"),
        "undelete-tag": Mistake(lambda r: r.undelete("thing@prod"), InvalidVersionError, "prod"),
        # what is not there
        "load-missing": Mistake(lambda r: r.load("other"), ObjectNotFoundError, "other"),
        "load-missing-version": Mistake(lambda r: r.load("thing", "9.0.0"), ObjectNotFoundError, "1.0.0"),
        "load-missing-tag": Mistake(lambda r: r.load("thing@dev"), ObjectNotFoundError, "prod"),
        "load-empty-range": Mistake(lambda r: r.load("thing", ">=2,<3"), ObjectNotFoundError, ">=2,<3"),
        "info-missing": Mistake(lambda r: r.info("other"), ObjectNotFoundError, "other"),
        "info-version": Mistake(lambda r: r.info(version="1.0.0"), InvalidArgumentError, "1.0.0"),
        "delete-missing": Mistake(lambda r: r.delete("other"), ObjectNotFoundError, "other"),
        "delete-missing-version": Mistake(lambda r: r.delete("thing@9"), ObjectNotFoundError, "9.0.0"),
        "undelete-missing": Mistake(lambda r: r.undelete("other@1"), ObjectNotFoundError, "other"),
        "undelete-never": Mistake(lambda r: r.undelete("thing@9"), ObjectNotFoundError, "9.0.0"),
        "undelete-living": Mistake(lambda r: r.undelete("thing@1"), VersionConflictError, "1.0.0"),
        "tag-missing": Mistake(lambda r: r.tag("other", "prod"), ObjectNotFoundError, "other"),
        "tag-missing-version": Mistake(lambda r: r.tag("thing", "prod", "9"), ObjectNotFoundError, "9.0.0"),
        "untag-missing": Mistake(lambda r: r.untag("thing", "dev"), ObjectNotFoundError, "prod"),
        "untag-missing-object": Mistake(lambda r: r.untag("other", "dev"), ObjectNotFoundError, "other"),
        "annotate-missing": Mistake(lambda r: r.annotate("other", a=1), ObjectNotFoundError, "other"),
        # tags
        "tag-like-version": Mistake(lambda r: r.tag("thing", "v2"), InvalidVersionError, "v2"),
        "tag-latest": Mistake(lambda r: r.tag("thing", "latest"), InvalidVersionError, "latest"),
        "tag-empty": Mistake(lambda r: r.tag("thing", ""), InvalidVersionError),
        "untag-range": Mistake(lambda r: r.untag("thing", ">=1"), InvalidVersionError, ">=1"),
        "save-tag": Mistake(lambda r: r.save("thing", BIG, tags=["1.0"]), InvalidVersionError, "1.0"),
        "save-tags-str": Mistake(
            lambda r: r.save("thing", BIG, tags="prod"), InvalidArgumentError, "tags=['prod']"
        ),
        "save-tags-int": Mistake(lambda r: r.save("thing", BIG, tags=5), InvalidArgumentError, "tags"),
        "save-trusted-str": Mistake(
            lambda r: r.save("thing", BIG, trusted="a.b"), InvalidArgumentError, "trusted"
        ),
        # metadata and notes
        "metadata-nan": Mistake(
            lambda r: r.save("thing", BIG, metadata={"a": [1, nan]}), InvalidMetadataError, "metadata.a[1]"
        ),
        "metadata-set": Mistake(
            lambda r: r.save("thing", BIG, metadata={"a": {1}}), InvalidMetadataError, "a"
        ),
        "metadata-key": Mistake(lambda r: r.save("thing", BIG, metadata={1: 1}), InvalidMetadataError),
        "metadata-huge": Mistake(
            lambda r: r.save("thing", BIG, metadata={"a": 2**60}), InvalidMetadataError, "a"
        ),
        "metadata-surrogate": Mistake(
            lambda r: r.save("thing", BIG, metadata={"a": "\ud800"}), InvalidMetadataError
        ),
        "metadata-list": Mistake(
            lambda r: r.save("thing", BIG, metadata=["a"]), InvalidMetadataError, "dict"
        ),
        "notes-nan": Mistake(
            lambda r: r.save("thing", BIG, notes={"a": nan}), InvalidMetadataError, "notes.a"
        ),
        "notes-int": Mistake(lambda r: r.save("thing", BIG, notes=5), InvalidMetadataError, "notes"),
        "annotate-nan": Mistake(lambda r: r.annotate("thing", a=math.inf), InvalidMetadataError, "a"),
        # objects
        "object": Mistake(lambda r: r.save("thing", Unknown()), NoMaterializerError, "register_materializer"),
        "object-inside": Mistake(
            lambda r: r.save("thing", [{"a": Unknown()}]), NoMaterializerError, "Unknown"
        ),
        "code": Mistake(lambda r: r.save("thing", lambda: None), NoMaterializerError, "allow_pickle"),
        "class": Mistake(lambda r: r.save("thing", Unknown, allow_pickle=False), NoMaterializerError),
        "not-a-materializer": Mistake(
            lambda r: r.save("thing", BIG, materializer=object()),
            InvalidArgumentError,
        ),
        "no-such-materializer": Mistake(
            lambda r: r.save("thing", BIG, materializer="no.such.Thing"),
            InvalidArgumentError,
            "no.such.Thing",
        ),
        "load-no-materializer": Mistake(
            lambda r: r.load("thing", materializer="no.such.Thing"), InvalidArgumentError, "no.such.Thing"
        ),
        "raising-materializer": Mistake(
            lambda r: r.save("thing", BIG, materializer=Raising), MaterializationError, "ZeroDivisionError"
        ),
        "params-of-materializer": Mistake(
            lambda r: r.save("thing", BIG, materializer=BadParams), CasregError, ""
        ),
        "path-of-materializer": Mistake(
            lambda r: r.save("thing", BIG, materializer=BadPath), MaterializationError, "../up"
        ),
        "into-for-bytes": Mistake(lambda r: r.load("thing", into="somewhere"), InvalidArgumentError, "into="),
        "into-number": Mistake(lambda r: r.load("folder", into=5), InvalidArgumentError, "into=5"),
        "into-nul": Mistake(lambda r: r.load("folder", into="a\0b"), DestinationError),
        # paths
        "missing-path": Mistake(
            lambda r: r.save("thing", Path("/no/such/path")), SourceNotFoundError, "/no/such/path"
        ),
        "missing-path-nan": Mistake(
            lambda r: r.save("thing", Path(__file__), metadata={"a": nan}), InvalidMetadataError, "metadata.a"
        ),
        "path-notes": Mistake(
            lambda r: r.save("thing", Path(__file__).parent, notes={"a": nan}),
            InvalidMetadataError,
            "notes.a",
        ),
        "path-metadata-type": Mistake(
            lambda r: r.save("thing", Path(__file__), metadata=5),
            InvalidMetadataError,
        ),
        "device": Mistake(lambda r: r.save("thing", Path(os.devnull)), UnsupportedSourceError, "device"),
    }


class Raising:
    """A materializer with a mistake in it."""

    id: ClassVar[str] = "test.raising/1"
    types: tuple[type | str, ...] = ()

    def save(self, obj: object, folder: object) -> None:
        raise ZeroDivisionError("oops")

    def load(self, folder: object, cls: type | None) -> object:
        raise ZeroDivisionError("oops")


class BadParams(Raising):
    """A materializer whose parameter JSON cannot hold."""

    parameters = ("a",)

    def save(self, obj: object, folder: Any) -> None:
        folder.add("data", BIG)
        folder.params["a"] = math.nan


class BadPath(Raising):
    """A materializer that writes outside of its folder."""

    def save(self, obj: object, folder: Any) -> None:
        folder.add("../up", BIG)


MISTAKES = _mistakes()


@pytest.fixture
def filled(registry: Registry, backend: Backend, tmp_path: Path) -> Registry:
    """A registry with something in it."""
    registry.save("thing", b"something", tags=["prod"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(noise(20_000))
    registry.save("folder", tmp_path / "folder")
    return Registry(backend)


@pytest.mark.parametrize("label", MISTAKES)
def test_a_mistake_is_a_clear_error_and_writes_nothing(
    filled: Registry, backend: Backend, label: str
) -> None:
    """Each mistake raises its error, whose message names the thing; no byte of the storage changes."""
    mistake = MISTAKES[label]
    before = snapshot(backend)
    with pytest.raises(mistake.error) as caught:
        mistake.call(filled)
    assert isinstance(caught.value, CasregError)
    assert mistake.word in str(caught.value)
    assert snapshot(backend) == before


@pytest.mark.parametrize("label", [label for label in MISTAKES if label != "load-no-materializer"])
def test_a_mistake_does_not_make_a_registry(registry: Registry, backend: Backend, label: str) -> None:
    """At a place that was never written a mistake writes nothing either: no marker, no probe, no empty ref."""
    with pytest.raises(CasregError):
        MISTAKES[label].call(registry)
    assert snapshot(backend) == {}


NAMED: dict[str, Callable[[Registry, Any], object]] = {
    "save": lambda r, name: r.save(name, BIG),
    "load": lambda r, name: r.load(name),
    "delete": lambda r, name: r.delete(name),
    "undelete": lambda r, name: r.undelete(name, "1.0.0"),
    "list_versions": lambda r, name: r.list_versions(name),
    "has_object": lambda r, name: r.has_object(name),
    "tag": lambda r, name: r.tag(name, "prod"),
    "untag": lambda r, name: r.untag(name, "prod"),
    "annotate": lambda r, name: r.annotate(name, a=1),
    "info": lambda r, name: r.info(name),
}


# `info()` without a name means all names.
WRONG_NAMES = [
    pytest.param(method, name, id=f"{name!r:.20}-{method}")
    for name in NOT_NAMES
    for method in NAMED
    if not (method == "info" and name is None)
]


@pytest.mark.parametrize(("method", "name"), WRONG_NAMES)
def test_a_wrong_name(registry: Registry, backend: Backend, method: str, name: object) -> None:
    """What is no name is an `InvalidNameError`, a `ValueError`, in every method, and writes nothing."""
    with pytest.raises(InvalidNameError) as caught:
        NAMED[method](registry, name)
    assert isinstance(caught.value, ValueError)
    assert snapshot(backend) == {}


def test_a_name_with_an_underscore_gets_a_proposal(backend: Backend) -> None:
    """The refusal of `invalid_name` proposes a spelling; the caller may also let underscores through."""
    with pytest.raises(InvalidNameError, match="'invalid-name'"):
        Registry(backend).save("invalid_name", 1)
    assert Registry(backend, allow_underscore=True).save("invalid_name", 1) == "1.0.0"


def test_what_is_missing_is_a_key_error_and_a_value_error(registry: Registry) -> None:
    """Code written for a dict or for the seeds catches what is missing; the message is not quoted twice."""
    for error in (KeyError, ValueError):
        with pytest.raises(error, match="no object 'thing'"):
            registry.load("thing")
    try:
        registry.load("thing")
    except KeyError as err:
        assert not str(err).startswith('"')  # noqa: PT017 - how a KeyError prints is the promise


def test_no_materializer_is_a_type_error_and_a_value_error(registry: Registry) -> None:
    """An object that nothing can save is a `TypeError` and a `ValueError`."""
    for error in (TypeError, ValueError):
        with pytest.raises(error, match="Unknown"):
            registry.save("thing", Unknown())


def test_a_socket_in_a_folder_is_refused(registry: Registry, backend: Backend, tmp_path: Path) -> None:
    """A folder that holds what is no file is refused as a whole."""
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "ok").write_bytes(BIG)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "f" / "s"))
        with pytest.raises(UnsupportedSourceError, match="socket"):
            registry.save("thing", tmp_path / "f")
    assert snapshot(backend) == {}


def test_a_failing_materializer_names_itself(registry: Registry) -> None:
    """What goes wrong inside of a materializer is an error of our tree that names it, with its cause."""
    registry.save("thing", b"x")
    with pytest.raises(MaterializerError, match=r"test\.raising/1.*ZeroDivisionError") as caught:
        registry.load("thing", materializer=Raising)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("place", ["", "ftp://x/y", 5, object()])
def test_a_place_that_is_none(place: Any) -> None:
    """A place that cannot be understood is refused when the Registry is made."""
    with pytest.raises(InvalidArgumentError):
        Registry(place)


@pytest.mark.parametrize("value", NOT_FLAGS, ids=repr)
@pytest.mark.parametrize("flag", ["version_objects", "mutable", "allow_pickle", "allow_underscore"])
def test_a_flag_is_true_or_false(tmp_path: Path, flag: str, value: Any) -> None:
    """A text out of a configuration allows no pickle, and None keeps no single version: both are refused by name."""
    with pytest.raises(InvalidArgumentError, match=rf"{flag} is True or False"):
        Registry(tmp_path, **{flag: value})


@pytest.mark.parametrize("value", [value for value in NOT_FLAGS if value is not None], ids=repr)
def test_a_flag_of_a_call_is_true_or_false(tmp_path: Path, value: Any) -> None:
    """The same for `allow_pickle` and `if_changed` of one call, and nothing is written."""
    registry = Registry(tmp_path / "place")
    with pytest.raises(InvalidArgumentError, match="allow_pickle is True or False"):
        registry.save("a", os.getcwd, allow_pickle=value)
    with pytest.raises(InvalidArgumentError, match="if_changed is True or False"):
        registry.save("a", 1, if_changed=value)
    assert not (tmp_path / "place").exists()
    registry.save("a", os.getcwd, allow_pickle=True)
    with pytest.raises(InvalidArgumentError, match="allow_pickle is True or False"):
        registry.load("a", allow_pickle=value)


def test_other_values_of_wrong_types_are_refused_by_name(tmp_path: Path) -> None:
    """What would be called, or asked for its class, in the middle of the work."""
    registry = Registry(tmp_path)
    registry.save("a", 1)
    with pytest.raises(InvalidArgumentError, match="progress is a function"):
        Registry(tmp_path, progress=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="progress is a function"):
        registry.save("a", 2, progress="x")  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="as_ is a class"):
        registry.load("a", as_="int")  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match=r"trusted=\['builtins.int'\]"):
        Registry(tmp_path, trusted=[int])  # type: ignore[list-item]
    assert registry.list_versions("a") == ["1.0.0"]


def test_a_tag_where_a_number_is_wanted_says_how_to_get_it(tmp_path: Path) -> None:
    """Deleting what a tag means: the expression in the message is the number to give."""
    registry = Registry(tmp_path)
    registry.save("a", 1, tags=["prod"])
    with pytest.raises(InvalidVersionError, match=r"info\('a', 'prod'\)\['version'\]"):
        registry.delete("a@prod")
    with pytest.raises(InvalidVersionError, match=r"tags=\[…\]"):
        registry.save("a", 2, version="prod")
    assert registry.delete("a", registry.info("a", "prod")["version"]) == ["1.0.0"]


def test_an_id_is_no_materializer(tmp_path: Path) -> None:
    """What `info` shows looks like a dotted name, and is told from one."""
    with pytest.raises(InvalidArgumentError, match=r"'numpy.ndarray/1' is an id: give its class"):
        Registry(tmp_path).save("a", 1, materializer="numpy.ndarray/1")


def test_a_tag_of_a_wrong_type_is_shown_a_tag(tmp_path: Path) -> None:
    """The example in the message could be given."""
    registry = Registry(tmp_path)
    registry.save("a", 1)
    with pytest.raises(InvalidVersionError, match="a tag must be a str such as 'prod'"):
        registry.tag("a", 5)  # type: ignore[arg-type]
    assert registry.tag("a", "prod") == "1.0.0"


@pytest.mark.parametrize("call", ["delete", "tag", "protect", "annotate", "rename", "load"])
def test_what_is_missing_is_said_with_its_place(tmp_path: Path, call: str) -> None:
    """Whoever opened another folder than they meant sees it, whichever call they made."""
    more = {"tag": ["x"], "rename": ["x"]}.get(call, [])
    with pytest.raises(ObjectNotFoundError, match=rf"no object 'nothing' in {tmp_path.as_uri()}"):
        getattr(Registry(tmp_path), call)("nothing", *more)
