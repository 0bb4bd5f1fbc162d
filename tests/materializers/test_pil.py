"""Images of PIL, of every mode."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.pil_image import PilImage
from casreg.materializers.pil_pixels import MODES
from casreg.registry import Registry
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from pathlib import Path

PNG_MODES = ["1", "L", "LA", "RGB", "RGBA", "I;16"]
NPY_MODES = ["RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16L", "I;16B", "I;16N", "F", "La", "RGBa"]


def image(mode: str, width: int = 7, height: int = 5) -> Image.Image:
    """An image whose bytes all differ from their neighbours."""
    size = len(Image.new(mode, (width, height)).tobytes()) if width * height else 0
    return Image.frombytes(mode, (width, height), bytes(at * 37 % 251 for at in range(size)))


def indexed(mode: str, colours: bytes, palette: str = "RGB", count: int = 3) -> Image.Image:
    """An image of colour numbers below `count`, with a palette."""
    made = Image.frombytes(mode, (6, 4), bytes(at % count for at in range(24 * len(mode))))
    made.putpalette(colours, palette)
    return made


def with_info(made: Image.Image, **info: Any) -> Image.Image:
    """The same image, which says this of itself."""
    made.info.update(info)
    return made


def same(a: object, b: object) -> bool:
    """What Pillow compares, and the palette as it is, and what is shown."""
    assert isinstance(a, Image.Image)
    assert isinstance(b, Image.Image)
    a.load()
    palettes = [one.palette and (one.palette.mode, bytes(one.palette.palette)) for one in (a, b)]
    equal = (a.mode, a.size, a.tobytes()) == (b.mode, b.size, b.tobytes()) and palettes[0] == palettes[1]
    return equal and type(b) is Image.Image and a.info == b.info and a.getpalette() == b.getpalette()


def saved(value: object) -> MemoryInFolder:
    """The files of an image."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        return stored(done.folder)


def loaded(folder: MemoryInFolder) -> Image.Image:
    """The image of some files."""
    found = load_object(PilImage(), folder)
    assert isinstance(found, Image.Image)
    return found


class TestImages(MaterializerContract):
    materializer = PilImage
    own_errors = True

    def examples(self) -> list[object]:
        return [
            *(image(mode) for mode in PNG_MODES + NPY_MODES),
            *(image(mode, 0, 3) for mode in (*PNG_MODES, "P", "F", "PA")),
            image("RGB", 3, 0),
            indexed("P", bytes(range(9))),
            indexed("P", bytes(range(6)), count=2),
            indexed("P", bytes(range(256)) * 3, count=256),
            indexed("P", bytes(range(6)), count=200),
            indexed("P", b""),
            indexed("P", bytes(range(12)), "RGBA"),
            indexed("P", bytes(range(12)), "CMYK"),
            indexed("PA", bytes(range(9))),
            indexed("PA", bytes(range(12)), "RGBA"),
            image("RGB").quantize(5),
            with_info(indexed("P", bytes(range(9))), transparency=1),
            with_info(indexed("P", bytes(range(9))), transparency=b"\x00\x80"),
            with_info(image("L"), transparency=37),
            with_info(image("RGB"), transparency=(0, 37, 74)),
            with_info(image("RGB"), dpi=(72, 300.5), exif=b"Exif\0\0MM", icc_profile=bytes(3000)),
            with_info(image("F"), comment=b"x" * 5000, nested={1: [None, "é"]}),
        ]

    def equal(self, saved: object, loaded: object) -> bool:
        return same(saved, loaded)


@settings(max_examples=60)
@given(
    st.sampled_from(PNG_MODES + NPY_MODES),
    st.integers(1, 9),
    st.integers(1, 9),
    st.binary(min_size=324, max_size=324),
)
def test_any_pixels_come_back(mode: str, width: int, height: int, pixels: bytes) -> None:
    """Mode, size and every bit."""
    size = len(Image.new(mode, (width, height)).tobytes())
    made = Image.frombytes(mode, (width, height), pixels[:size])
    assert same(made, loaded(saved(made)))


@settings(max_examples=60)
@given(
    st.sampled_from(["P", "PA"]), st.binary(max_size=256).map(lambda data: data * 3), st.binary(min_size=48)
)
def test_any_palette_comes_back(mode: str, palette: bytes, pixels: bytes) -> None:
    """Also one that has no colour for some of the pixels."""
    made = Image.frombytes(mode, (6, 4), pixels[: 24 * len(mode)])
    made.putpalette(palette)
    assert same(made, loaded(saved(made)))


@pytest.mark.parametrize("mode", [*PNG_MODES, "P"])
def test_everybody_can_open_it(mode: str) -> None:
    """Where PNG keeps the mode it is a PNG, which shows the same."""
    made = indexed("P", bytes(range(9))) if mode == "P" else image(mode)
    folder = saved(made)
    assert sorted(folder.files) == ["image.png"]
    with Image.open(io.BytesIO(folder.files["image.png"])) as opened:
        assert opened.mode == mode
        assert opened.tobytes() == made.tobytes()


@pytest.mark.parametrize("mode", NPY_MODES)
def test_other_modes_are_arrays(mode: str) -> None:
    """Rows, columns and bands, which numpy opens."""
    made = image(mode)
    folder = saved(made)
    assert sorted(folder.files) == ["pixels.npy"]
    assert folder.params == {"mode": mode}
    array = np.load(io.BytesIO(folder.files["pixels.npy"]))
    assert array.shape[:2] == (5, 7)
    assert array.tobytes() == made.tobytes()


def test_numbers_without_a_colour_are_an_array() -> None:
    """PNG forbids them, and its readers do with them what they like."""
    folder = saved(indexed("P", bytes(range(6)), count=3))
    assert sorted(folder.files) == ["palette.bin", "pixels.npy"]
    assert folder.params == {"mode": "P", "palette": "RGB"}


def test_other_programs_show_what_is_said_of_the_image() -> None:
    """Transparency, colour profile and orientation stand in the PNG too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = with_info(image("RGB"), transparency=(0, 37, 74), icc_profile=b"profile", exif=exif.tobytes())
    with Image.open(io.BytesIO(saved(made).files["image.png"])) as opened:
        assert opened.info["transparency"] == (0, 37, 74)
        assert opened.info["icc_profile"] == b"profile"
        assert opened.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("mode", "info"),
    [
        ("RGB", {"transparency": b"\0"}),
        ("RGB", {"transparency": (1, 2)}),
        ("RGB", {"transparency": (1, 2, -3)}),
        ("L", {"transparency": b"\0"}),
        ("L", {"transparency": 1 << 16}),
        ("RGBA", {"transparency": 3}),
        ("P", {"transparency": 256}),
        ("P", {"transparency": b""}),
        ("L", {"icc_profile": bytes(2 << 20)}),
        ("L", {"icc_profile": "text"}),
        ("L", {"exif": 7}),
        ("L", {"pnginfo": 7, "default_image": True, "duration": 3, "dpi": "no"}),
    ],
    ids=str,
)
def test_what_png_cannot_say_is_kept_nevertheless(mode: str, info: dict[str, Any]) -> None:
    """Leftovers in `info`, as conversions leave them, neither fail nor are lost."""
    made = with_info(indexed("P", bytes(9)) if mode == "P" else image(mode), **info)
    assert same(made, loaded(saved(made)))


def test_what_is_no_plain_value_in_info_is_refused() -> None:
    """With its key, so that it can be taken out."""
    with pytest.raises(NoMaterializerError, match=r"image\.info.*\['odd'\]"):
        saved(with_info(image("L"), odd=object()))


def test_values_of_pils_own_classes_become_plain() -> None:
    """Rational numbers and marked texts, as files have them."""
    text = PngInfo()
    text.add_itxt("Title", "é", "fr", "Titre")
    file = io.BytesIO()
    image("L").save(file, "PNG", pnginfo=text)
    with Image.open(file) as opened:
        opened.info["dpi"] = (IFDRational(1, 4), IFDRational(72))
        found = loaded(saved(opened)).info
    assert found == {"Title": "é", "dpi": (0.25, 72.0)}
    assert [type(one) for one in (found["Title"], *found["dpi"])] == [str, float, float]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "ICO"])
def test_an_image_from_a_file_comes_back_as_a_plain_one(kind: str, tmp_path: Path) -> None:
    """Whether it has been loaded before or not; and the original stays as it was."""
    path = tmp_path / "file"
    image("RGB", 16, 16).save(path, kind)
    with Image.open(path) as opened:
        first = loaded(saved(opened))
        opened.load()
        again = loaded(saved(opened))
        assert type(opened) is not Image.Image
        assert same(opened, first)
        assert same(opened, again)
    assert same(opened, first)


def many(kind: str) -> bytes:
    """A file of three frames."""
    file = io.BytesIO()
    first, *others = (Image.new("L", (4, 4), shade) for shade in (0, 100, 200))
    first.save(file, kind, save_all=True, append_images=others)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG", "MPO"])
def test_an_image_of_many_frames_is_refused(kind: str) -> None:
    """All but one would be lost; the ways out that the error names work."""
    with Image.open(io.BytesIO(many(kind))) as opened:
        with pytest.raises(NoMaterializerError, match=r"3 frames.*Path.*copy"):
            saved(opened)
        assert opened.tell() == 0
        saved([frame.copy() for frame in ImageSequence.Iterator(opened)])
        saved(opened.copy())


def test_a_file_that_cannot_be_read_is_refused() -> None:
    """A cut file is found out while it is saved, and not when somebody loads it."""
    file = io.BytesIO()
    image("RGB", 99, 99).save(file, "PNG")
    with (
        Image.open(io.BytesIO(file.getvalue()[:900])) as opened,
        pytest.raises(NoMaterializerError, match="Path"),
    ):
        saved(opened)


def test_a_class_with_a_meaning_of_its_own_is_refused() -> None:
    """It would come back as a plain image."""

    class Scan(Image.Image):  # type: ignore[misc]  # mypy does not look into PIL
        pass

    with pytest.raises(NoMaterializerError, match="Scan"):
        saved(Scan())


def test_a_mode_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later release of Pillow may bring one; and it is not guessed at when it is loaded."""
    folder = saved(image("HSV"))
    monkeypatch.delitem(MODES, "HSV")
    with pytest.raises(NoMaterializerError, match="HSV"):
        saved(image("HSV"))
    with pytest.raises(MaterializationError, match="HSV"):
        loaded(folder)


def test_an_image_is_a_part_of_other_values(tmp_path: Path) -> None:
    """Inside containers it has a folder of its own, and two names for one image share it again."""
    registry = Registry(tmp_path / "r")
    made = with_info(image("RGB"), dpi=(72, 72))
    registry.save("a", {"last": made, "all": [made, image("CMYK")]})
    found = registry.load("a")
    assert same(made, found["last"])
    assert same(image("CMYK"), found["all"][1])
    assert found["all"][0] is found["last"]


def test_a_saved_image_is_left_alone() -> None:
    """Its `info` and palette are those of the caller, before and after."""
    made = with_info(indexed("P", bytes(range(9))), transparency=1)
    before = made.copy()
    saved(made)
    assert same(before, made)


def test_similar_images_are_stored_once(tmp_path: Path) -> None:
    """What changes in a corner costs a corner: the file is not deflated as a whole."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    registry = Registry(tmp_path / "r")
    registry.save("a", Image.fromarray(noise))
    noise[10:20, 10:20] = 0
    registry.save("b", Image.fromarray(noise))
    assert registry.info("b")["stored"] < 0.3 * registry.info("a")["stored"]


def test_an_image_that_is_filtered_in_parts_comes_back() -> None:
    """Each part begins with the last row of the one before; files have many blocks of deflate."""
    noise = np.random.default_rng(1).integers(0, 256, (700, 400, 3), dtype=np.uint8)
    made = Image.fromarray(noise)
    assert same(made, loaded(saved(made)))
    smooth = made.resize((900, 900))
    assert same(smooth, loaded(saved(smooth)))


def test_a_row_that_fills_a_block_of_deflate_ends_it() -> None:
    """Strict readers want the last block marked as such."""
    data = saved(image("L", 65534, 1)).files["image.png"]
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    assert len(zlib.decompress(data[at + 4 : at + 4 + size])) == 65535


def test_transparency_is_never_longer_than_the_palette() -> None:
    """Strict readers refuse a PNG in which it is."""
    made = with_info(indexed("P", bytes(range(9))), transparency=bytes(256))
    assert chunk(b"tRNS", bytes(3)) in saved(made).files["image.png"]
    made.info["transparency"] = 2
    assert chunk(b"tRNS", b"\xff\xff\0") in saved(made).files["image.png"]


def test_a_filter_helps_to_compress() -> None:
    """What the filter leaves of a gradient is nearly nothing."""
    made = Image.merge("RGB", [Image.linear_gradient("L")] * 3)
    data = saved(made).files["image.png"]
    assert len(zlib.compress(data)) < len(data) / 100


def test_bytes_are_frozen() -> None:
    """The same image gives the same bytes under every release of Pillow and of zlib."""
    made = with_info(Image.frombytes("LA", (2, 2), bytes((1, 2, 3, 4, 5, 6, 9, 7))), icc_profile=b"p")
    stream = b"\x78\x01\x01\x0a\x00\xf5\xff" + bytes((4, 1, 2, 2, 2, 4, 4, 4, 4, 1)) + b"\x00\x9e\x00\x1d"
    assert saved(made).files["image.png"] == (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", b"\0\0\0\2\0\0\0\2\x08\4\0\0\0")
        + chunk(b"iCCP", b"ICC Profile\0\0\x78\x01\x01\x01\x00\xfe\xffp\x00\x71\x00\x71")
        + chunk(b"IDAT", stream)
        + chunk(b"IEND", b"")
    )


def test_a_large_image_is_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit is for files whose few bytes promise many pixels."""
    folder = saved(image("RGB"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert same(image("RGB"), loaded(folder))


def png(width: int, height: int, bits: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    """A small file that promises this many pixels."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)),
        (b"IDAT", zlib.compress(bytes(100_000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (png(30_000, 30_000), "RGB"),
        (png(20, 20), "RGB"),
        (png(2**31 - 1, 2**31 - 1), "RGB"),
        (png(1, 1, 8, 5), "RGB"),
        (png(1, 1, 8, 2, 1), "RGB"),
        (png(1, 1, 16, 2), "RGB"),
        (png(1, 1, 8, 0), "RGB"),
        (b"", "L"),
        (b"\x89PNG\r\n\x1a\n", "L"),
        (b"GIF89a" + bytes(50), "P"),
    ],
    ids=["bomb", "small bomb", "largest", "colour", "interlaced", "bits", "mode", "empty", "start", "gif"],
)
def test_hostile_png_files_are_refused(data: bytes, mode: str) -> None:
    """Pixels are never more than the bytes that are there, and the mode is what was said."""
    with pytest.raises(MaterializationError):
        PilImage().load(MemoryInFolder({"image.png": data}, {"mode": mode}), None)


def npy(shape: tuple[int, ...], dtype: str = "u1") -> bytes:
    """A stored array."""
    file = io.BytesIO()
    np.save(file, np.zeros(shape, dtype))
    return file.getvalue()


PIXELS = npy((2, 3))


@pytest.mark.parametrize(
    ("files", "params"),
    [
        ({"pixels.npy": PIXELS}, {}),
        ({"pixels.npy": PIXELS}, {"mode": 7}),
        ({"pixels.npy": PIXELS}, {"mode": "BGR;15"}),
        ({"pixels.npy": PIXELS}, {"mode": "1"}),
        ({"pixels.npy": npy((2, 3, 3))}, {"mode": "P"}),
        ({"pixels.npy": npy((6,))}, {"mode": "P"}),
        ({"pixels.npy": npy((2, 3, 3))}, {"mode": "CMYK"}),
        ({"pixels.npy": npy((2, 3), "<f4")}, {"mode": "I"}),
        ({"pixels.npy": npy((1 << 31, 0))}, {"mode": "L"}),
        ({"pixels.npy": PIXELS, "palette.bin": b"abc"}, {"mode": "P"}),
        ({"pixels.npy": PIXELS}, {"mode": "P", "palette": "RGB"}),
        ({"pixels.npy": PIXELS, "palette.bin": b"abc"}, {"mode": "P", "palette": "HSV"}),
        ({"pixels.npy": PIXELS, "palette.bin": b"abc"}, {"mode": "P", "palette": ["RGB"]}),
        ({"pixels.npy": PIXELS, "palette.bin": bytes(771)}, {"mode": "P", "palette": "RGB"}),
        ({"pixels.npy": PIXELS, "palette.bin": b"abc"}, {"mode": "L", "palette": "RGB"}),
        ({"pixels.npy": PIXELS, "image.png": b""}, {"mode": "P"}),
        ({"pixels.npy": PIXELS, "more": b""}, {"mode": "P"}),
        ({"info.json": b"{}"}, {"mode": "P"}),
        ({}, {"mode": "P"}),
        ({"pixels.npy": PIXELS, "info.json": b"[]"}, {"mode": "P"}),
        ({"pixels.npy": PIXELS, "info.json": b"{}", "parts/0.bin": b""}, {"mode": "P"}),
    ],
    ids=str,
)
def test_hostile_files_are_refused(files: dict[str, bytes], params: dict[str, Any]) -> None:
    """Modes, palettes and files that `save` never writes."""
    with pytest.raises(MaterializationError):
        PilImage().load(MemoryInFolder(files, params), None)
