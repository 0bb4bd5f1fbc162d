from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from casreg.digest import Digest, digest_of
from casreg.exceptions import InvalidNameError
from casreg.keys import (
    HEAD,
    INDEX,
    MARKER,
    DataKey,
    hook_of,
    is_data_key,
    manifest_key,
    name_of_ref_key,
    pack_key,
    parse_data_key,
    ref_key,
    segment_key,
)

digests = st.binary(min_size=32, max_size=32).map(Digest)
DIGEST = digest_of(b"")  # af1349b9f5f9a1a6…
HEX = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_the_layout_is_frozen() -> None:
    """These keys are in repositories: they may never change."""
    assert ref_key("My:model") == "refs/!my_model"
    assert manifest_key(DIGEST) == f"manifests/af/{HEX}"
    assert segment_key(DIGEST) == f"segments/af/{HEX}"
    assert hook_of(DIGEST) == "af1349b9f5f9a1a6"
    assert pack_key("0123456789abcdef", DIGEST) == f"packs/af/0123456789abcdef-{HEX}"
    assert (MARKER, HEAD, INDEX) == ("casreg.json", "gc/head", "index/")


@given(digests, digests)
def test_every_key_of_data_says_what_it_was_made_of(digest: Digest, smallest: Digest) -> None:
    """Kind, digest and hook come back from the key."""
    hook = hook_of(smallest)
    assert parse_data_key(manifest_key(digest)) == DataKey("manifest", digest, None)
    assert parse_data_key(segment_key(digest)) == DataKey("segment", digest, None)
    assert parse_data_key(pack_key(hook, digest)) == DataKey("pack", digest, hook)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "casreg.json",
        "gc/head",
        f"refs/{HEX}",
        f"index/af/{HEX}",
        f"manifests/{HEX}",
        f"manifests/ae/{HEX}",
        f"manifests/af/{HEX}0",
        f"manifests/af/{HEX[:-1]}",
        f"manifests/AF/{HEX.upper()}",
        f"manifests/af/{HEX}\n",
        f"/manifests/af/{HEX}",
        f"x/manifests/af/{HEX}",
        f"manifests/af/{HEX}.tmp",
        f"manifests/af/0123456789abcdef-{HEX}",
        f"packs/af/{HEX}",
        f"packs/ae/0123456789abcdef-{HEX}",
        f"packs/af/0123456789abcde-{HEX}",
        f"packs/af/0123456789abcdeg-{HEX}",
        f"segments/af/../af/{HEX}",
    ],
)
def test_a_strangers_file_is_no_key_of_data(key: str) -> None:
    """What the functions would not have made is not understood, so that no collector ever touches it."""
    assert parse_data_key(key) is None
    assert not is_data_key(key)


@given(
    st.text(alphabet="0af/-", max_size=8),
    st.integers(0, 80),
    st.sampled_from(["manifests", "packs", "segments"]),
)
def test_a_key_of_data_with_anything_put_in_is_none(noise: str, at: int, folder: str) -> None:
    """An edited key parses only if it could have been made: the parts make the same key again."""
    key = pack_key(hook_of(DIGEST), DIGEST) if folder == "packs" else f"{folder}/af/{HEX}"
    edited = key[:at] + noise + key[at:]
    parsed = parse_data_key(edited)
    assert is_data_key(edited) == (parsed is not None)
    if parsed is not None:
        again = {
            "manifest": lambda: manifest_key(parsed.digest),
            "segment": lambda: segment_key(parsed.digest),
            "pack": lambda: pack_key(parsed.hook or "", parsed.digest),
        }[parsed.kind]()
        assert again == edited


@given(st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,60}[A-Za-z0-9])?", fullmatch=True))
def test_a_name_comes_back_from_its_ref_key(name: str) -> None:
    """name_of_ref_key(ref_key(name)) == name, and a key has at most 200 bytes."""
    try:
        key = ref_key(name)
    except InvalidNameError:  # a segment that ends in '.' or '-', or is empty
        return
    assert name_of_ref_key(key) == name
    assert len(key) <= 200
    assert key.count("/") == 1


def test_the_longest_key_of_a_ref_has_200_bytes() -> None:
    """The bound is reached, not only kept."""
    assert len(ref_key("a" * 195)) == 200
    assert len(ref_key("A" * 97)) == 199
    with pytest.raises(InvalidNameError, match="too long"):
        ref_key("a" * 196)


@pytest.mark.parametrize(
    "key", ["refs/", "refs/A", "refs/a/b", "refs/con", "ref/a", "a", "refs/refs/a", "gc/head"]
)
def test_a_strangers_file_is_no_key_of_a_ref(key: str) -> None:
    """None unless `ref_key` of some name is exactly this key."""
    assert name_of_ref_key(key) is None


def test_a_key_that_nobody_could_read_again_is_not_made() -> None:
    """What is no digest, or no hook, is a mistake of the program that is seen at once: the file would be lost."""
    short = Digest(DIGEST[:-1])
    for make in (manifest_key, segment_key, hook_of, lambda digest: pack_key("0" * 16, digest)):
        with pytest.raises(AssertionError, match=r"^a digest has 32 bytes, this has 31$"):
            make(short)
    with pytest.raises(AssertionError, match=r"^not a hook: '0123'$"):
        pack_key("0123", DIGEST)
