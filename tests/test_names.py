from __future__ import annotations

import re
import string
from enum import StrEnum

import pytest
from hypothesis import assume, given, strategies as st

from casreg.exceptions import InvalidNameError
from casreg.names import (
    MAX_ENCODED_BYTES,
    check_name,
    decode_name,
    encode_name,
    hidden_name,
    is_hidden,
    parse_key,
)

segments = st.from_regex(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,9}[A-Za-z0-9_])?", fullmatch=True)
names = st.one_of(
    st.lists(segments, min_size=1, max_size=4).map(":".join),
    st.sampled_from(
        ["con", "CON", "con.x", "con:x", "nul", "com0", "lpt9.a:b", "COM1", "c_on", "aux-1", "x.prn"]
    ),
)


@pytest.mark.parametrize(
    "name", ["a", "7", "my:model", "resnet-50:v1.1", "A:B:C", "a..b", "a--b", "x" * MAX_ENCODED_BYTES]
)
def test_names_of_the_grammar_are_accepted_as_they_are(name: str) -> None:
    """A name of the grammar comes back unchanged."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "proposal"),
    [
        ("invalid_name", "invalid-name"),
        ("../x", "x"),
        ("-rf", "rf"),
        ("a@b", "a-b"),
        ("a/b", "a:b"),
        ("a\\b", "a:b"),
        ("my model", "my-model"),
        ("modèle:été", "modele:ete"),
        ("a::b", "a:b"),
        (":a", "a"),
        ("a:", "a"),
        ("a.", "a"),
        (".hidden", "hidden"),
        ("a\n", "a"),
        ("a\x00b", "a-b"),
        ("~upload-1", "upload-1"),
        ("a%2Fb", "a-2Fb"),
        ("X model X", "X-model-X"),
        ("a b".ljust(MAX_ENCODED_BYTES, "x"), "a-b".ljust(MAX_ENCODED_BYTES, "x")),
        (" " * 299 + "a", "a"),
    ],
)
def test_a_wrong_name_is_refused_with_a_spelling_that_would_do(name: str, proposal: str) -> None:
    """The error is a ValueError of our own that proposes a correct name."""
    with pytest.raises(InvalidNameError, match=re.escape(f"write {proposal!r}?")) as caught:
        check_name(name)
    assert isinstance(caught.value, ValueError)
    assert check_name(proposal) == proposal


@pytest.mark.parametrize("name", ["", "..", "---", "日本", "\ud800", "@", "٣"])
def test_a_name_of_which_nothing_can_be_kept_is_refused_with_the_rule(name: str) -> None:
    """Where no spelling can be proposed, the message still has the rule, and ends with it."""
    with pytest.raises(InvalidNameError, match=r"segments joined by ':', .* with a letter or digit$"):
        check_name(name)


def test_an_empty_name_is_called_empty() -> None:
    """Not by a pair of quotes that one overlooks."""
    with pytest.raises(InvalidNameError, match=r"^a name cannot be empty: "):
        check_name("")


@pytest.mark.parametrize("name", ["a b".ljust(MAX_ENCODED_BYTES + 1, "x"), " " * 300 + "a"])
def test_no_spelling_is_proposed_that_would_not_do(name: str) -> None:
    """Nor one made of what stands far behind in a huge text."""
    with pytest.raises(InvalidNameError) as caught:
        check_name(name)
    assert "write" not in str(caught.value)


@pytest.mark.parametrize(("name", "would_do"), [("a_b", True), ("a b", False), ("a_", True), ("_-", False)])
def test_underscores_are_offered_where_they_would_do(name: str, would_do: bool) -> None:
    """The option is named only to those whom it helps."""
    with pytest.raises(InvalidNameError) as caught:
        check_name(name)
    assert str(caught.value).endswith(" (or open the registry with allow_underscore=True)") == would_do
    assert ("allow_underscore" in str(caught.value)) == would_do


@pytest.mark.parametrize("name", [None, 3, b"bytes", ["a"], ("a", "b")])
def test_a_name_that_is_no_str_is_refused_by_its_type(name: object) -> None:
    """The message says which type was given."""
    with pytest.raises(InvalidNameError, match=type(name).__name__):
        check_name(name)  # type: ignore[arg-type]
    with pytest.raises(InvalidNameError, match=type(name).__name__):
        parse_key(name)  # type: ignore[arg-type]


def test_a_subclass_of_str_becomes_a_plain_str() -> None:
    """What is stored does not depend on the class of the argument."""

    class Fancy(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "other"

    assert type(check_name(Fancy("a:b"))) is str
    assert check_name(Fancy("a:b")) == "a:b"


@pytest.mark.parametrize("name", ["a_b", "_", "_private:x_", "my_data:train"])
def test_underscores_count_as_letters_only_where_allowed(name: str) -> None:
    """`allow_underscore` lets them through in any place, the default does nowhere and says how to."""
    assert check_name(name, allow_underscore=True) == name
    with pytest.raises(InvalidNameError, match="allow_underscore=True"):
        check_name(name)


@pytest.mark.parametrize("name", ["x" * (MAX_ENCODED_BYTES + 1), "X" * 98, "a:" * 97 + "ab"])
def test_a_name_whose_key_would_be_too_long_is_refused(name: str) -> None:
    """Keys of refs have at most 200 bytes, whatever the letters."""
    with pytest.raises(InvalidNameError, match="too long"):
        check_name(name)


def test_a_message_shows_up_to_80_characters() -> None:
    """A name of 80 is quoted whole, of a longer one the beginning and how long it is."""
    with pytest.raises(InvalidNameError, match=re.escape(f"{'_' * 80!r} is not")):
        check_name("_" * 80)
    with pytest.raises(InvalidNameError, match=re.escape(f"{'_' * 60!r}… (81 characters) is not")):
        check_name("_" * 81)


def test_a_message_about_a_huge_name_is_short() -> None:
    """A megabyte given by mistake does not fill the log."""
    with pytest.raises(InvalidNameError) as caught:
        check_name("_" * 1_000_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("key", "parsed"),
    [
        ("a", ("a", None)),
        ("a:b@1.0.0", ("a:b", "1.0.0")),
        ("a@latest", ("a", "latest")),
        ("a@>=1,<2", ("a", ">=1,<2")),
    ],
)
def test_a_key_is_split_at_its_at_sign(key: str, parsed: tuple[str, str | None]) -> None:
    """`name@version` gives both parts, `name` alone gives None for the version."""
    assert parse_key(key) == parsed


@pytest.mark.parametrize("key", ["a@", "@1", "a@b@c", "a_b@1", "a@@1", ""])
def test_a_key_with_a_missing_or_second_part_is_refused(key: str) -> None:
    """Nothing is guessed: one name, and if there is an `@`, one version."""
    with pytest.raises(InvalidNameError):
        parse_key(key)


def test_a_key_may_have_underscores_where_allowed() -> None:
    """`allow_underscore` holds for name@version too."""
    assert parse_key("a_b@1", allow_underscore=True) == ("a_b", "1")


def test_hidden_names_are_out_of_reach_for_users() -> None:
    """A hidden name has a key of its own and is refused wherever users give names."""
    name = hidden_name("upload", "0af3")
    assert name == "~upload-0af3"
    assert is_hidden(name)
    assert not is_hidden("upload-0af3")
    assert decode_name(encode_name(name)) == name
    for allow_underscore in (False, True):
        with pytest.raises(InvalidNameError):
            check_name(name, allow_underscore=allow_underscore)


def test_the_longest_hidden_name_has_a_key() -> None:
    """Of 195 bytes, as that of any name; one more is refused, by whoever makes it and by whoever uses it."""
    name = hidden_name("u", "1" * (MAX_ENCODED_BYTES - 3))
    assert len(name) == MAX_ENCODED_BYTES
    assert decode_name(encode_name(name)) == name
    with pytest.raises(InvalidNameError):
        hidden_name("u", "1" * (MAX_ENCODED_BYTES - 2))
    with pytest.raises(InvalidNameError, match="too long"):
        encode_name(name + "1")


@pytest.mark.parametrize(
    ("kind", "ident"),
    [
        ("Upload", "1"),
        ("up:load", "1"),
        ("upload", "A"),
        ("upload", ""),
        ("", "1"),
        ("upload", "1-"),
        ("u", "1" * 200),
    ],
)
def test_a_hidden_name_has_only_lower_case_letters_digits_and_dashes(kind: str, ident: str) -> None:
    """Anything else would not come back from its key."""
    with pytest.raises(InvalidNameError):
        hidden_name(kind, ident)


@pytest.mark.parametrize("character", [*string.ascii_letters, *string.digits])
def test_a_name_holds_each_letter_and_digit_anywhere(character: str) -> None:
    """First, in the middle and last, also of a hidden name, where it is small; and its key gives it back."""
    names = [character, f"{character}x", f"x{character}x", f"x{character}", f"x:{character}_"]
    if not character.isupper():
        names += [f"~x{character}", f"~x{character}x", f"~x-{character}"]
    if character.islower():
        names += [f"~{character}", f"~{character}-1"]
    for name in names:
        assert decode_name(encode_name(name)) == name


@pytest.mark.parametrize(
    "device",
    ["con", "prn", "aux", "nul", *(f"{word}{number}" for word in ("com", "lpt") for number in range(10))],
)
def test_no_key_is_called_as_a_device(device: str) -> None:
    """Windows keeps each of these words, alone and before the first dot; what only begins so is free."""
    for name in (device, f"{device}.x", f"{device}.x.y"):
        assert encode_name(name) == f"!!{name}"
        assert decode_name(f"!!{name}") == name
        assert decode_name(name) is None
    for name in (f"{device}x", f"x{device}", f"{device}-1", device[:-1]):
        assert encode_name(name) == name


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("my:model-1.5", "my_model-1.5"),
        ("My:Model", "!my_!model"),
        ("my_model", "my!_model"),
        ("_M", "!_!m"),
        ("~upload-0af3", "~upload-0af3"),
        ("con", "!!con"),
        ("aux.old:x", "!!aux.old_x"),
        ("lpt0", "!!lpt0"),
        ("Con", "!con"),
        ("con:x", "con_x"),
        ("x.con", "x.con"),
        ("com10", "com10"),
    ],
)
def test_the_encoding_of_names_is_frozen(name: str, encoded: str) -> None:
    """These spellings are in repositories: they may never change."""
    assert encode_name(name) == encoded
    assert decode_name(encoded) == name


@given(names)
def test_every_name_comes_back_from_its_encoding(name: str) -> None:
    """decode(encode(name)) == name."""
    assert decode_name(encode_name(name)) == name


@given(names)
def test_an_encoded_name_is_safe_on_every_file_system(name: str) -> None:
    """Only characters that Windows takes, no upper case, no device, no dot at the end, at most 195 bytes."""
    encoded = encode_name(name)
    assert set(encoded) <= set(string.ascii_lowercase + string.digits + "-._!~")
    assert not encoded.endswith((".", " "))
    devices = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
    assert encoded.split(".")[0] not in devices
    assert len(encoded) <= MAX_ENCODED_BYTES


@given(names, names)
def test_two_names_never_share_a_file_even_without_case(one: str, other: str) -> None:
    """Distinct names have encodings that stay distinct after folding case."""
    assume(one != other)
    assert encode_name(one).casefold() != encode_name(other).casefold()


@given(names)
def test_names_that_differ_in_case_alone_do_not_share_a_file(name: str) -> None:
    """`Model` and `model` are two names, also on a file system that ignores case."""
    other = name.swapcase()
    assume(other != name)
    assert encode_name(other).casefold() != encode_name(name).casefold()


@given(st.text(alphabet="abcon1!_.~-:A/", max_size=12))
def test_decoding_accepts_exactly_what_encoding_makes(text: str) -> None:
    """Either nothing, or a name whose encoding is this very text."""
    name = decode_name(text)
    assert name is None or encode_name(name) == text


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "con",
        "!!a",
        "!!!!con",
        "!1",
        "a!",
        "A",
        "a:b",
        "_a",
        "a_",
        "a.",
        "a~b",
        "~",
        "~a_b",
        "!",
        "!!",
        "a/b",
        "é",
        "a" * 196,
        "!!con" + "n" * 3,
        "nul.txt",
    ],
)
def test_a_strangers_file_is_no_name(encoded: str) -> None:
    """What the encoding would not have made is not read as a name."""
    assert decode_name(encoded) is None


@pytest.mark.parametrize("name", ["", "a b", "a/b", "~A", "~a" + "b" * 194, "é", "X" * 98, "a" * 196])
def test_what_is_no_name_is_not_encoded(name: str) -> None:
    """Encoding checks, so that no key is ever made of a wrong name."""
    with pytest.raises(InvalidNameError):
        encode_name(name)


class Model(StrEnum):
    """Names of a program that are texts of a class of their own."""

    MINE = "my:model"
    FIRST = "my:model@1.0.0"


def test_texts_of_other_classes_come_back_plain() -> None:
    """What is stored or sent to another process is a plain `str`, whatever subclass was given."""
    name, version = parse_key(Model.FIRST)
    for plain in (check_name(Model.MINE), parse_key(Model.MINE)[0], name, version):
        assert type(plain) is str
