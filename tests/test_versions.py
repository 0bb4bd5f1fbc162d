from __future__ import annotations

import pickle
import re
from enum import StrEnum
from itertools import pairwise, product
from string import ascii_letters, digits
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, strategies as st

from casreg.exceptions import InvalidArgumentError, InvalidVersionError
from casreg.versions import (
    FIRST,
    MAX_NUMBER,
    Bump,
    Exact,
    Latest,
    Range,
    Tag,
    Version,
    check_tag,
    next_after,
    parse_range,
    parse_selector,
    parse_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable

numbers = st.integers(0, 3) | st.integers(0, MAX_NUMBER)
identifiers = st.integers(0, 12).map(str) | st.from_regex(
    r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True
)
versions = st.builds(Version, numbers, numbers, numbers, st.lists(identifiers, max_size=3).map(tuple))
small = st.builds(
    Version,
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([(), ("a",), ("rc", "1")]),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("1.2.3", "1.2.3"),
        ("v1.2", "1.2.0"),
        ("V1.2.3", "1.2.3"),
        ("0.0.0", "0.0.0"),
        ("1.0.0-rc.1", "1.0.0-rc.1"),
        ("v1.0.0-0.x-y.3", "1.0.0-0.x-y.3"),
        ("1.0.0---", "1.0.0---"),
        ("1.0.0-0a", "1.0.0-0a"),
        ("20261122093000.0.0", "20261122093000.0.0"),
        ("999999999999999.0.0", "999999999999999.0.0"),
    ],
)
def test_versions_have_one_canonical_spelling(text: str, canonical: str) -> None:
    """Short forms and a leading v are understood; `str` is the full form."""
    assert str(parse_version(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a version is"),
        ("x", "a version is"),
        ("latest", "a version is"),
        ("1.", "a version is"),
        (".1", "a version is"),
        ("1.2.3.4", "a version is"),
        ("-1", "a version is"),
        ("+1", "a version is"),
        ("1.0.0-", "a version is"),
        ("1.0.0-a..b", "a version is"),
        ("1.0.0-é", "a version is"),
        (" 1.0.0", "a version is"),
        ("1.0.0\n", "a version is"),
        ("vv1", "a version is"),
        ("١.٢.٣", "a version is"),
        ("1_0", "a version is"),
        ("1e3", "a version is"),
        ("0x1", "a version is"),
        ("1.0.0+build", "build metadata"),
        ("1.0.0-rc+build", "build metadata"),
        ("01.0.0", "leading zeros"),
        ("1.00.0", "leading zeros"),
        ("1.0.0-rc.01", "leading zeros"),
        ("1.2-rc.1", "all three numbers"),
        ("1-rc.1", "all three numbers"),
        ("1.x", re.escape("write '1.*'")),
        ("1000000000000000.0.0", "15 digits"),
        ("1.0.0-" + "a" * 200, "128 characters"),
    ],
)
def test_what_is_no_version_is_refused_with_the_reason(text: str, reason: str) -> None:
    """The error is a ValueError of our own that names what is accepted, and the mistake where it is a usual one."""
    with pytest.raises(InvalidVersionError, match=reason) as caught:
        parse_version(text)
    assert isinstance(caught.value, ValueError)
    assert "version" in str(caught.value)


@pytest.mark.parametrize("value", [None, 1, 1.0, b"1.0.0", (1, 0, 0), Version(1, 0, 0)])
def test_what_is_no_str_is_refused_by_its_type(value: object) -> None:
    """A float 1.10 would silently be 1.1: only text is taken."""
    for parse in (parse_version, parse_range, parse_selector, check_tag):
        with pytest.raises(InvalidVersionError, match=type(value).__name__):
            parse(value)  # type: ignore[arg-type]


def test_a_message_about_a_huge_version_is_short() -> None:
    """A megabyte given by mistake does not fill the log, nor take time."""
    for parse in (parse_version, parse_range, parse_selector, check_tag):
        with pytest.raises(InvalidVersionError) as caught:
            parse("1" * 1_000_000)
        assert len(str(caught.value)) < 500


@given(versions)
def test_every_version_comes_back_from_its_spelling(version: Version) -> None:
    """parse(str(version)) == version, hash and pickle included."""
    again = parse_version(str(version)) if len(str(version)) <= 128 else version
    assert again == version
    assert hash(again) == hash(version)
    assert pickle.loads(pickle.dumps(version)) == version


def test_the_order_is_that_of_the_semver_specification() -> None:
    """The chain of section 11 of SemVer 2.0.0, with numbers compared as numbers."""
    chain = (
        "0.9.9 1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 "
    )
    chain += "1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.2.0 1.10.0 2.0.0 10.0.0"
    ordered = [parse_version(text) for text in chain.split()]
    assert all(a < b for a, b in pairwise(ordered))
    assert sorted(set(ordered)) == ordered


def _precedence(a: Version, b: Version) -> int:
    """Section 11 word for word, to hold against the tuple comparison."""
    if a.numbers != b.numbers:
        return -1 if a.numbers < b.numbers else 1
    if not a.pre or not b.pre:
        return (not a.pre) - (not b.pre)
    for x, y in zip(a.pre, b.pre, strict=False):
        if x != y:
            if x.isdigit() and y.isdigit():
                return -1 if int(x) < int(y) else 1
            if x.isdigit() != y.isdigit():
                return -1 if x.isdigit() else 1
            return -1 if x < y else 1
    return (len(a.pre) > len(b.pre)) - (len(a.pre) < len(b.pre))


@given(versions | small, versions | small)
def test_the_order_is_total_and_agrees_with_the_specification(a: Version, b: Version) -> None:
    """Exactly one of <, ==, > holds, and it is the one of section 11."""
    assert (a > b) - (a < b) == _precedence(a, b)
    assert (a == b) == (_precedence(a, b) == 0)
    assert (a <= b) == (not b < a)


@pytest.mark.parametrize("wrong", [(-1, 0, 0), (0, 0, MAX_NUMBER + 1)])
def test_a_version_outside_the_bounds_cannot_be_made(wrong: tuple[int, int, int]) -> None:
    """Not by parsing and not by hand."""
    with pytest.raises(InvalidVersionError):
        Version(*wrong)


@pytest.mark.parametrize("pre", [("",), ("rc.1",), ("01",), ("a b",), ("é",), ("1\n",)])
def test_a_pre_release_is_made_of_identifiers(pre: tuple[str, ...]) -> None:
    """Each part alone is one; `rc.1` is two."""
    with pytest.raises(InvalidVersionError):
        Version(1, 0, 0, pre)


@pytest.mark.parametrize(
    ("version", "patch", "minor", "major"),
    [
        ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
        ("0.0.0", "0.0.1", "0.1.0", "1.0.0"),
        ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
        ("2.1.0-rc.1", "2.1.0", "2.1.0", "3.0.0"),
        ("2.0.1-rc.1", "2.0.1", "2.1.0", "3.0.0"),
        ("1.9.9", "1.9.10", "1.10.0", "2.0.0"),
    ],
)
def test_the_next_version_is_the_nearest_release_that_the_bump_allows(
    version: str, patch: str, minor: str, major: str
) -> None:
    """patch, minor and major, also from a pre-release."""
    given_version = parse_version(version)
    assert str(next_after(given_version)) == patch
    assert str(next_after(given_version, "patch")) == patch
    assert str(next_after(given_version, "minor")) == minor
    assert str(next_after(given_version, "major")) == major


@given(small, st.sampled_from(get_args(Bump)))
def test_the_next_version_is_higher_and_a_release(version: Version, bump: Bump) -> None:
    """So numbers of saves only rise."""
    after = next_after(version, bump)
    assert after > version
    assert not after.pre


def test_the_first_version_is_1_0_0() -> None:
    """With nothing before it, whatever the bump."""
    assert next_after(None) == next_after(None, "major") == FIRST == parse_version("1.0.0")


def test_an_unknown_bump_is_refused() -> None:
    """The error says the three that there are."""
    with pytest.raises(InvalidArgumentError, match="'patch', 'minor' or 'major'"):
        next_after(FIRST, "micro")  # type: ignore[arg-type]


def test_no_version_follows_the_highest() -> None:
    """A number cannot grow beyond its digits: an error, not a version that cannot be parsed."""
    with pytest.raises(InvalidVersionError):
        next_after(Version(1, 0, MAX_NUMBER))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.2", "1.2.0 1.3.0 2.0.0", "1.1.9 1.2.0-rc.1 1.3.0-rc.1"),
        (">1.2", "1.2.1 1.3.0", "1.2.0 1.2.1-rc.1"),
        ("<2", "1.9.9 0.0.0", "2.0.0 2.0.0-rc.1 2.0.1"),
        ("<=2", "2.0.0 1.0.0", "2.0.1 2.0.0-rc.1"),
        ("==1.0", "1.0.0", "1.0.1 1.0.0-rc.1"),
        ("!=1.1", "1.0.0 1.1.1", "1.1.0 1.1.1-rc.1"),
        (">=1.2,<2", "1.2.0 1.99.0", "1.1.0 2.0.0 2.0.0-rc.1"),
        (" >= 1.2 , < 2 ", "1.2.0 1.99.0", "1.1.0 2.0.0"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-a"),
        ("^1.2", "1.2.0 1.9.0", "1.1.9 2.0.0"),
        ("^1", "1.0.0 1.9.0", "0.9.9 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0.1", "0.1.0 0.1.9", "0.2.0 0.0.9"),
        ("^0", "0.0.0 0.9.9", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("~1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
        ("~0.0", "0.0.0 0.0.9", "0.1.0"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("1.*", "1.0.0 1.9.9", "2.0.0 0.9.9 2.0.0-a"),
        ("v1.2.*", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("1.*,!=1.5,<1.9", "1.4.0 1.5.1 1.8.9", "1.5.0 1.9.0"),
        (">=1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1.0.0 2.0.0", "1.0.0-beta 1.0.1-rc.1 2.0.0-rc.1"),
        ("^1.2.3-b.2", "1.2.3-b.2 1.2.3-b.4 1.2.3 1.3.0", "1.2.3-b.1 1.2.4-b.2 2.0.0"),
        ("~1.2.3-b", "1.2.3-b 1.2.3-c 1.2.4", "1.2.4-b 1.3.0"),
        ("<2.0.0-rc.2", "2.0.0-rc.1 1.0.0", "2.0.0-rc.2 2.0.0 1.9.9-rc.1"),
        ("==1.0.0-rc.1", "1.0.0-rc.1", "1.0.0 1.0.0-rc.2"),
        ("!=1.0.0-rc.1", "1.0.0", "1.0.0-rc.1 1.0.0-rc.2"),
        (">=2,<1", "", "1.0.0 2.0.0 1.5.0"),
    ],
)
def test_a_range_holds_what_its_table_says(text: str, inside: str, outside: str) -> None:
    """Each kind of clause, with its edges, and pre-releases only where a bound asks for them."""
    parsed = parse_range(text)
    assert [v for v in inside.split() if not parsed.matches(parse_version(v))] == []
    assert [v for v in outside.split() if parsed.matches(parse_version(v))] == []


@given(small, small, small)
def test_a_range_is_the_conjunction_of_its_clauses_on_releases(
    low: Version, high: Version, version: Version
) -> None:
    """`>=a,<b` on a release is a <= v < b."""
    if not version.pre:
        assert parse_range(f">={low},<{high}").matches(version) == (low <= version < high)


@given(st.builds(Version, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)))
def test_tilde_is_never_wider_than_caret_from_1_0_0_on(base: Version) -> None:
    """And both hold their own base."""
    tilde, caret = parse_range(f"~{base}"), parse_range(f"^{base}")
    assert tilde.matches(base)
    assert caret.matches(base)
    if base.major:
        for major, minor, patch in product(range(4), repeat=3):
            version = Version(major, minor, patch)
            assert not tilde.matches(version) or caret.matches(version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        ">=1,",
        ",<2",
        ">=1,,<2",
        ">=",
        ">=x",
        "=1",
        "~=1.2",
        "===1",
        ">=1 <2",
        ">=1 || <2",
        "1.2",
        "1.x",
        "1*",
        "**",
        "*.1",
        "1.2.3.*",
        "01.*",
        ">=01",
        ">=1.0.0+b",
        "^",
        "~",
        "^^1",
        "^*",
        "==1.*",
        ">=1-rc",
        "1 - 2",
        "é",
        ">" * 500,
        ">=1," * 400,
        ">=" + "1" * 300,
        ">=1.0.0-" + "a" * 123,
        "^999999999999999",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """Nothing is guessed from half a clause."""
    with pytest.raises(InvalidVersionError):
        parse_range(text)


def test_the_error_of_a_range_names_the_clause_and_what_is_accepted() -> None:
    """So that in a long range the wrong part is found."""
    with pytest.raises(InvalidVersionError, match=r"'<two' in '>=1,<two' .*'>=1\.2'.*joined by commas"):
        parse_range(">=1,<two")


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("latest", Latest()),
        ("1", Exact(Version(1, 0, 0))),
        ("v1.2", Exact(Version(1, 2, 0))),
        ("1.0.0-rc.1", Exact(Version(1, 0, 0, ("rc", "1")))),
        ("prod", Tag("prod")),
        ("p", Tag("p")),
        ("release-2026.11", Tag("release-2026.11")),
        ("vnext", Tag("vnext")),
        ("x", Tag("x")),
    ],
)
def test_a_selector_is_decided_by_its_form(text: str, selector: object) -> None:
    """latest, a version or a tag; none can be taken for another."""
    assert parse_selector(text) == selector


@pytest.mark.parametrize("text", [">=1.2,<2", "^1.2", "~1.2", "==1.0", "!=1", "1.*", "*", "<2"])
def test_a_range_is_a_selector(text: str) -> None:
    """The same as `parse_range` gives, and `str` is what was written."""
    selector = parse_selector(text)
    assert isinstance(selector, Range)
    assert selector == parse_range(text)
    assert str(selector) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Latest",
        "LATEST",
        "a_b",
        "a b",
        "1.2.3.4",
        "v2-prod",
        "-x",
        "x-",
        "é",
        "a@b",
        "x" * 65,
        "1.0.0-" + "a" * 123,
        "1.0.0+b",
    ],
)
def test_what_selects_nothing_is_refused(text: str) -> None:
    """Before anything is looked up, with what is accepted."""
    with pytest.raises(InvalidVersionError, match=r"version"):
        parse_selector(text)


@pytest.mark.parametrize("tag", ["prod", "a", "Prod-2", "best.so-far", "x1", "vnext", "x" * 64])
def test_tags_are_accepted_and_select_themselves(tag: str) -> None:
    """Whatever can be a tag is read as that tag on load."""
    assert check_tag(tag) == tag
    assert parse_selector(tag) == Tag(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "latest",
        "Latest",
        "1",
        "1.0.0",
        "v1",
        "V2",
        "v1.0-old",
        "v2-prod",
        "2026",
        "-a",
        "a-",
        "a.",
        "a_b",
        "a b",
        "^a",
        "a*",
        "a,b",
        "a@b",
        "a/b",
        "é",
        "a\n",
        "x" * 65,
    ],
)
def test_what_could_be_taken_for_something_else_is_no_tag(tag: str) -> None:
    """latest, versions, what looks like one, ranges, and letters outside the grammar."""
    with pytest.raises(InvalidVersionError):
        check_tag(tag)


@given(st.text(max_size=20) | st.from_regex(r"[vV]?[0-9.<>=!^~*,a-z-]{1,15}", fullmatch=True))
def test_a_tag_selects_itself_or_cannot_be_set(text: str) -> None:
    """`check_tag` and `parse_selector` agree on every text, and no other error comes out."""
    try:
        selector = parse_selector(text)
    except InvalidVersionError:
        selector = None
    try:
        tag: Tag | None = Tag(check_tag(text))
    except InvalidVersionError:
        tag = None
    assert (selector if isinstance(selector, Tag) else None) == tag


def test_what_is_selected_is_spelt_as_it_was_written() -> None:
    """`str` of a selector is what stands in messages."""
    for text in ("latest", "1.0.0-rc.1", "prod", ">=1, <2"):
        assert str(parse_selector(text)) == text
    assert str(parse_selector("v1")) == "1.0.0"


@pytest.mark.parametrize(
    ("reader", "what", "limit"),
    [
        (parse_version, "a version", 128),
        (check_tag, "a tag", 64),
        (parse_range, "a range", 1_000),
        (parse_selector, "a version, tag or range", 1_000),
    ],
)
def test_what_is_no_text_or_too_long_is_called_what_it_should_be(
    reader: Callable[[str], object], what: str, limit: int
) -> None:
    """The message says what was asked for, and how long it may be."""
    with pytest.raises(
        InvalidVersionError, match=f"^{what} must be a str such as '(1.0.0|prod)', not int: 7$"
    ):
        reader(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidVersionError, match=f"^{what} has at most {limit} characters: "):
        reader("1" * (limit + 1))
    with pytest.raises(InvalidVersionError) as caught:
        reader("_" * limit)
    assert "has at most" not in str(caught.value)


def test_the_longest_version_is_selected() -> None:
    """128 characters are one, whoever reads it; one more is none."""
    longest = "1.0.0-" + "a" * 122
    assert parse_selector(longest) == Exact(parse_version(longest))
    with pytest.raises(InvalidVersionError):
        parse_selector(longest + "a")


def test_versions_and_ranges_are_values() -> None:
    """They can be keys: nothing in them is a list."""
    assert type(parse_version("1.0.0-rc.1").pre) is tuple
    assert len({parse_version("1.0.0-rc.1"), parse_version("v1.0.0-rc.1")}) == 1
    assert len({parse_range(">=1,<2"), parse_range(">=1,<2")}) == 1


@pytest.mark.parametrize("character", [*ascii_letters, *digits, "-"])
def test_an_identifier_holds_each_letter_and_digit_anywhere(character: str) -> None:
    """SemVer's alphabet, first, in the middle and last, in identifiers with a letter and in numbers."""
    words = [f"{character}a", f"a{character}a", f"a{character}", f"0{character}a"]
    if character.isdigit():
        words += [f"1{character}", f"1{character}1"]
    for word in words:
        assert parse_version(f"1.0.0-{word}").pre == (word,)
        assert parse_version(f"1.0.0-{word}.{word}").pre == (word, word)


@pytest.mark.parametrize("character", [*ascii_letters, *digits])
def test_a_number_and_a_tag_hold_each_character_of_their_alphabets(character: str) -> None:
    """A letter or digit may stand inside a tag and end it, and a digit anywhere behind the first of a number."""
    for tag in (f"x{character}", f"x{character}x"):
        assert parse_selector(check_tag(tag)) == Tag(tag)
    if character.isdigit():
        assert parse_version(f"1{character}.2{character}3.4{character}5").numbers == (
            int(f"1{character}"),
            int(f"2{character}3"),
            int(f"4{character}5"),
        )
        with pytest.raises(InvalidVersionError, match="does not look like a version"):
            check_tag(f"v{character}x")


def test_a_tag_may_begin_with_any_letter() -> None:
    """No letter makes a range of it."""
    for letter in ascii_letters:
        assert parse_selector(f"{letter}-a") == Tag(f"{letter}-a")


def test_the_message_about_a_range_names_the_clause() -> None:
    """Alone it is the whole, and not said twice; among others the whole is said too."""
    with pytest.raises(InvalidVersionError, match=r"^'>=x' is no clause of a range: "):
        parse_range(">=x")
    with pytest.raises(InvalidVersionError, match=r"^'>=x' in '>=1,>=x' is no clause of a range: "):
        parse_range(">=1,>=x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (text, "; build metadata ('+…') is not kept, leave it out")
            for text in ("1.0.0+x", "v1+", "V1.0-a+\n")
        ),
        *(
            (text, "; before a pre-release all three numbers must be given")
            for text in ("1.0-rc", "V12.34-rc", "v90-1", "109.90-")
        ),
        *(
            (text, "; numbers have no leading zeros")
            for text in ("1.01.0", "V09", "v01.2", "1.00.0", "1.0.0-09", "1.0.0-a.01")
        ),
        ("1.x", "; for any number there write '1.*'"),
        ("V19.0.X", "; for any number there write 'V19.0.*'"),
        ("v90.x", "; for any number there write 'v90.*'"),
        ("1" * 16, "; a number has at most 15 digits"),
        ("1.9.9012345678901234", "; a number has at most 15 digits"),
        *(
            (text, "")
            for text in ("x", "x+1", "-1", "v-1", "1.-1", "x1-1", "1.2.3.4-5", ".x", "v.x", "x.x", "1.2.3.y")
        ),
        *((text, "") for text in ("x" * 80, "1.2.3.999999999999999", "x00", "1.2.3.4")),
    ],
)
def test_the_message_about_a_version_ends_with_a_reason_where_one_is_known(text: str, reason: str) -> None:
    """Else with the rule; and up to 80 characters are shown as they are."""
    rule = "a version is 'X.Y.Z' or 'X.Y.Z-pre.1' (semantic versioning; '1' is '1.0.0')"
    with pytest.raises(InvalidVersionError) as caught:
        parse_version(text)
    assert str(caught.value) == f"{text!r} is not a version: {rule}{reason}"


def test_a_wildcard_may_have_either_v() -> None:
    """As a version may."""
    assert parse_range("V1.*").clauses == parse_range("v1.*").clauses == parse_range("1.*").clauses


@pytest.mark.parametrize("text", ["9x", "0_1", "1.2.3.4", "v9_", "V0_", "5\n"])
def test_what_begins_as_a_version_is_refused_as_one(text: str) -> None:
    """With a leading `v` or without, on one line or more: it is a version gone wrong, and no tag."""
    with pytest.raises(InvalidVersionError, match="is not a version: "):
        parse_selector(text)


def test_a_long_text_is_cut_in_messages() -> None:
    """From 81 characters on, and its length is said."""
    with pytest.raises(InvalidVersionError, match=rf"^'{'x' * 60}'… \(81 characters\) is not a version"):
        parse_version("x" * 81)


class Stage(StrEnum):
    """Words of a program that are texts of a class of their own."""

    PROD = "prod"
    RECENT = ">=1.0,<2"


def test_texts_of_other_classes_come_back_plain() -> None:
    """What is kept, stored or sent to another process is a plain `str`, whatever subclass was given."""
    selector = parse_selector(Stage.PROD)
    assert isinstance(selector, Tag)
    for plain in (check_tag(Stage.PROD), selector.name, parse_range(Stage.RECENT).text):
        assert type(plain) is str
