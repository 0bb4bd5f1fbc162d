"""Questions to a history and changes of it, without any storage but the segments'."""

from __future__ import annotations

from dataclasses import replace

import pytest

from casreg.exceptions import (
    InvalidArgumentError,
    InvalidVersionError,
    ObjectNotFoundError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.refs.entries import Record, Tombstone
from casreg.versions import parse_selector
from refs.lab import LATER, NAME, TIME, empty_history, entry_of, history_of, v


def test_an_empty_history_has_nothing() -> None:
    """Nothing lives in a ref that was just created, and nothing was used."""
    history = empty_history()
    assert history.live() == []
    assert history.latest() is None
    assert not history.used(v("1.0.0"))
    assert history.record(v("1.0.0")) is None


def test_live_is_ascending_in_the_order_of_semver() -> None:
    """Versions are listed by precedence: not as text, and a pre-release before its release."""
    history = history_of("1.0.10", "1.0.9", "2.0.0", "2.0.0-rc.1", "0.1.0")
    assert [str(version) for version, _ in history.live()] == [
        "0.1.0",
        "1.0.9",
        "1.0.10",
        "2.0.0-rc.1",
        "2.0.0",
    ]


def test_latest_counts_pre_releases() -> None:
    """The latest version is the highest, also if it is a pre-release."""
    found = history_of("1.0.0", "2.0.0-rc.1").latest()
    assert found == (v("2.0.0-rc.1"), entry_of("2.0.0-rc.1"))


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("latest", "2.0.0-rc.1"),
        ("1.2.0", "1.2.0"),
        ("1.2", "1.2.0"),
        ("^1.0", "1.2.0"),
        (">=1.0,<1.2", "1.1.0"),
        ("prod", "1.1.0"),
        (">=2.0.0-alpha", "2.0.0-rc.1"),
        ("<=1.0.0", "1.0.0"),
    ],
)
def test_select_finds_the_highest_that_is_meant(selector: str, found: str) -> None:
    """latest, an exact version, a range and a tag each give the version and its entry."""
    history = history_of("1.0.0", "1.1.0", "1.2.0", "2.0.0-rc.1").with_tag("prod", v("1.1.0"))
    assert history.select(parse_selector(selector)) == (v(found), entry_of(found))


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("9.9.9", r"my:model has no version 9\.9\.9; there are 1\.0\.0, 1\.0\.1"),
        (
            "1.0.2",
            r"my:model has no version 1\.0\.2; there are 1\.0\.0, 1\.0\.1; it was deleted, and `undelete\(",
        ),
        (">=3", r"my:model has no version in '>=3'; there are 1\.0\.0, 1\.0\.1"),
        ("prod", r"my:model has no tag 'prod'; its tags are test"),
    ],
)
def test_what_is_missing_is_said_with_what_exists(selector: str, message: str) -> None:
    """An error about a missing version names the living ones, so that the next try is right."""
    history = history_of("1.0.0", "1.0.1", "1.0.2").without_version(v("1.0.2"), LATER)
    with pytest.raises(ObjectNotFoundError, match=message):
        history.with_tag("test", v("1.0.0")).select(parse_selector(selector))


def test_what_is_retired_is_not_said_to_come_back() -> None:
    """`undelete` is proposed only where a tombstone is left."""
    history = history_of("1.0.0")
    ref = replace(history.ref, records={**history.ref.records, v("1.0.1"): Record()})
    with pytest.raises(ObjectNotFoundError, match=r"has no version 1\.0\.1; there are 1\.0\.0$"):
        replace(history, ref=ref).select(parse_selector("1.0.1"))


def test_the_message_about_a_missing_version_stays_short() -> None:
    """Of many versions only the highest are named."""
    history = history_of(*(f"1.0.{patch}" for patch in range(100)))
    with pytest.raises(ObjectNotFoundError, match=r"there are 1\.0\.92, .*, 1\.0\.99 and 92 more$"):
        history.select(parse_selector("7.0.0"))


def test_nothing_is_there() -> None:
    """Of a history without versions the error says just that."""
    with pytest.raises(ObjectNotFoundError, match=r"my:model has no versions$"):
        empty_history().select(parse_selector("latest"))
    with pytest.raises(ObjectNotFoundError, match="it has no tags"):
        empty_history().select(parse_selector("prod"))
    deleted = history_of("1.0.0").without_version(v("1.0.0"), LATER)
    with pytest.raises(
        ObjectNotFoundError, match=r"has no versions: .* `history\('my:model'\)` .* `undelete`"
    ):
        deleted.select(parse_selector("latest"))


# Numbers


@pytest.mark.parametrize(
    ("living", "bump", "expected"),
    [
        ([], "patch", "1.0.0"),
        ([], "major", "1.0.0"),
        (["1.0.0"], "patch", "1.0.1"),
        (["1.0.0"], "minor", "1.1.0"),
        (["1.2.3"], "major", "2.0.0"),
        (["0.1.0", "0.2.0"], "patch", "0.2.1"),
        (["1.0.9"], "patch", "1.0.10"),
        (["2.0.0-rc.1", "1.0.0"], "patch", "2.0.0"),
        (["2.0.0-rc.1", "2.0.0"], "patch", "2.0.1"),
    ],
)
def test_the_next_number_is_above_the_latest(living: list[str], bump: str, expected: str) -> None:
    """A save without a version gets the number after the highest, by the part that is asked for."""
    assert history_of(*living).next_version(bump) == v(expected)  # type: ignore[arg-type]


def test_a_deleted_number_is_skipped() -> None:
    """A number that was given once is never given again, also if it lies above the highest living version."""
    history = history_of("1.0.0", "1.0.1", "1.0.2", "1.1.0")
    for version in ("1.0.1", "1.0.2", "1.1.0"):
        history = history.without_version(v(version), LATER)
    assert history.next_version() == v("1.0.3")
    assert history.next_version("minor") == v("1.1.1")


def test_a_retired_number_is_skipped() -> None:
    """A number of which nothing is left is still remembered."""
    history = history_of("1.0.0")
    retired = replace(
        history, ref=replace(history.ref, records={**history.ref.records, v("1.0.1"): Record()})
    )
    assert retired.used(v("1.0.1"))
    assert retired.next_version() == v("1.0.2")


def test_when_none_lives_the_highest_ever_used_counts() -> None:
    """After everything was deleted the numbers go on where they ended."""
    history = (
        history_of("1.0.0", "3.0.0").without_version(v("3.0.0"), LATER).without_version(v("1.0.0"), LATER)
    )
    assert history.latest() is None
    assert history.next_version() == v("3.0.1")


def test_the_release_of_a_deleted_release_is_skipped() -> None:
    """Above a pre-release whose release was deleted comes the number after that release."""
    history = history_of("2.0.0-rc.1", "2.0.0").without_version(v("2.0.0"), LATER)
    assert history.next_version() == v("2.0.1")


def test_an_unknown_bump_is_refused() -> None:
    """Only patch, minor and major can be counted up."""
    with pytest.raises(InvalidArgumentError, match="bump"):
        history_of("1.0.0").next_version("huge")  # type: ignore[arg-type]


# Changes


def test_changes_leave_the_old_history_alone() -> None:
    """A history is a value: what is made from it is another one."""
    before = history_of("1.0.0")
    same = history_of("1.0.0")
    before.with_version(v("1.0.1"), entry_of("1.0.1"))
    before.with_tag("prod", v("1.0.0"))
    before.with_notes(v("1.0.0"), {"a": 1})
    before.without_version(v("1.0.0"), LATER)
    assert before.ref == same.ref


def test_overwriting_leaves_a_tombstone() -> None:
    """What lived under a number that is saved again becomes a tombstone of the time of that save."""
    history = history_of("1.0.0").with_version(v("1.0.0"), entry_of("new"))
    record = history.record(v("1.0.0"))
    assert record == Record(entry_of("new"), (Tombstone(entry_of("1.0.0"), TIME),))


def test_a_tag_stays_on_an_overwritten_version() -> None:
    """A tag names a version: when that is overwritten, it names the new content."""
    history = history_of("1.0.0").with_tag("prod", v("1.0.0")).with_version(v("1.0.0"), entry_of("new"))
    assert history.select(parse_selector("prod")) == (v("1.0.0"), entry_of("new"))
    assert history.ref.tags == {"prod": (v("1.0.0"), entry_of("new").manifest)}


def test_deleting_leaves_a_tombstone_and_removes_tags() -> None:
    """A deleted version lives no more, is kept as a tombstone, and takes its tags with it, no others."""
    history = history_of("1.0.0", "1.0.1").with_tag("prod", v("1.0.1")).with_tag("base", v("1.0.0"))
    history = history.without_version(v("1.0.1"), LATER)
    assert history.entry(v("1.0.1")) is None
    assert history.record(v("1.0.1")) == Record(None, (Tombstone(entry_of("1.0.1"), LATER),))
    assert list(history.ref.tags) == ["base"]


def test_deleting_twice_is_an_error() -> None:
    """What does not live cannot be deleted."""
    history = history_of("1.0.0", "1.0.1").without_version(v("1.0.1"), LATER)
    with pytest.raises(ObjectNotFoundError, match=r"no version 1\.0\.1"):
        history.without_version(v("1.0.1"), LATER)


def test_undeleting_brings_the_last_tombstone_back() -> None:
    """Undeleting gives what was deleted last, with its first identity, and keeps older tombstones."""
    history = history_of("1.0.0").with_version(v("1.0.0"), entry_of("new")).without_version(v("1.0.0"), LATER)
    back = history.undeleted(v("1.0.0"))
    assert back.record(v("1.0.0")) == Record(entry_of("new"), (Tombstone(entry_of("1.0.0"), TIME),))


def test_undeleting_what_lives_or_never_was_is_an_error() -> None:
    """Only a version that is deleted, and of which a tombstone is left, can be undeleted."""
    history = history_of("1.0.0").with_version(v("1.0.0"), entry_of("new"))
    with pytest.raises(VersionConflictError, match="not deleted"):
        history.undeleted(v("1.0.0"))
    with pytest.raises(ObjectNotFoundError, match="cannot be undeleted"):
        history.undeleted(v("1.0.1"))


def test_notes_change_and_nothing_else() -> None:
    """Annotating replaces the notes of a living version and no other field."""
    history = history_of("1.0.0", "1.0.1").with_notes(v("1.0.0"), {"good": True})
    assert history.entry(v("1.0.0")) == replace(entry_of("1.0.0"), notes={"good": True})
    assert history.entry(v("1.0.1")) == entry_of("1.0.1")
    with pytest.raises(ObjectNotFoundError):
        history.with_notes(v("9.0.0"), {})


def test_a_tag_moves() -> None:
    """A tag is on one version at a time."""
    history = history_of("1.0.0", "1.0.1").with_tag("prod", v("1.0.0")).with_tag("prod", v("1.0.1"))
    assert history.select(parse_selector("prod"))[0] == v("1.0.1")
    assert history.without_tag("prod").ref.tags == {}


def test_removing_a_tag_leaves_the_others() -> None:
    """Also those on the same version."""
    history = history_of("1.0.0", "1.0.1").with_tag("prod", v("1.0.0")).with_tag("best", v("1.0.0"))
    assert list(history.with_tag("next", v("1.0.1")).without_tag("prod").ref.tags) == ["best", "next"]


def test_impossible_tags_are_refused() -> None:
    """A tag must be able to be one, be on a living version, and exist to be removed."""
    history = history_of("1.0.0")
    with pytest.raises(InvalidVersionError):
        history.with_tag("latest", v("1.0.0"))
    with pytest.raises(ObjectNotFoundError):
        history.with_tag("prod", v("2.0.0"))
    with pytest.raises(ObjectNotFoundError, match=f"{NAME} has no tag 'prod'"):
        history.without_tag("prod")


def test_a_protected_version_stays() -> None:
    """Whatever deletes or replaces a protected version raises, and what says something about it does not."""
    history = history_of("1.0.0", "1.1.0").with_protection(v("1.0.0"), protected=True)
    for change in (
        lambda: history.without_version(v("1.0.0"), LATER),
        lambda: history.with_version(v("1.0.0"), entry_of("other")),
        lambda: history.check_unprotected(v("1.0.0")),
    ):
        with pytest.raises(VersionProtectedError, match=r"@1\.0\.0 is protected.*unprotect"):
            change()
    noted = history.with_notes(v("1.0.0"), {"a": 1}).with_tag("prod", v("1.0.0"))
    entry = noted.entry(v("1.0.0"))
    assert entry is not None
    assert entry.protected
    assert history.without_version(v("1.1.0"), LATER).latest() is not None
    free = noted.with_protection(v("1.0.0"), protected=False)
    assert free.without_version(v("1.0.0"), LATER).entry(v("1.0.0")) is None
    assert history.check_unprotected(v("3.0.0")) is None


def test_protecting_what_does_not_live() -> None:
    """There is nothing to protect."""
    with pytest.raises(ObjectNotFoundError):
        history_of("1.0.0").with_protection(v("2.0.0"), protected=True)
