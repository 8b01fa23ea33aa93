from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from proxy.dialects.pictures import inspect


def draw(kind: str, **options: object) -> bytes:
    out = BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(out, kind, **options)
    return out.getvalue()


KINDS = {
    "jpeg": draw("JPEG"),
    "progressive jpeg": draw("JPEG", progressive=True),
    "png": draw("PNG"),
    "gif": draw("GIF"),
    "webp": draw("WEBP"),
    "lossless webp": draw("WEBP", lossless=True),
    "webp with metadata": draw("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
}


@pytest.mark.parametrize(("name", "body"), KINDS.items(), ids=KINDS.keys())
def test_a_whole_picture_is_recognised_with_its_size(name, body):
    picture = inspect(body)
    assert picture is not None
    assert picture.kind in name
    assert (picture.width, picture.height, picture.complete) == (64, 48, True)


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_picture_is_seen(body, share):
    picture = inspect(body[: int(len(body) * share)])
    assert picture is not None
    assert not picture.complete


def test_the_end_of_a_thumbnail_is_not_the_end():
    thumbnail = draw("JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    body = KINDS["jpeg"][:2] + segment + KINDS["jpeg"][2:]
    whole, cut = inspect(body), inspect(body[:-200])
    assert whole is not None
    assert cut is not None
    assert (whole.complete, cut.complete) == (True, False)


def test_fill_bytes_between_segments_are_skipped():
    body = KINDS["jpeg"]
    assert inspect(body[:2] + b"\xff\xff" + body[2:]) == inspect(body)


def test_a_header_without_a_scan_is_no_whole_picture():
    assert inspect(b"\xff\xd8\xff\xe0\x00\x04ab") == ("jpeg", 0, 0, False)


def avif(width: int, height: int) -> bytes:
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    boxes = [b"ftypavif\0\0\0\0", b"metaispe\0\0\0\0" + sides, b"mdat" + b"x" * 40]
    return b"".join((len(box) + 4).to_bytes(4, "big") + box for box in boxes)


def test_an_avif_box_with_a_long_size_is_walked():
    start = avif(64, 48)[:-48]
    body = start + b"\0\0\0\x01mdat" + (56).to_bytes(8, "big") + b"x" * 40
    assert inspect(body) == ("avif", 64, 48, True)
    assert inspect(body[:-1]) == ("avif", 64, 48, False)


def test_avif_is_walked_by_its_boxes():
    whole, cut = inspect(avif(64, 48)), inspect(avif(64, 48)[:-1])
    assert whole == ("avif", 64, 48, True)
    assert cut == ("avif", 64, 48, False)


@pytest.mark.parametrize(
    "body", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"{}", b"BM", b"\x00\x00\x00\x18ftypmp42"]
)
def test_anything_else_is_no_picture(body):
    assert inspect(body) is None


heads = st.sampled_from(
    [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", b"\0\0\0\x18ftypavif", b""]
)


@settings(max_examples=200, deadline=None)
@given(heads, st.binary(max_size=60))
def test_no_bytes_raise(head, tail):
    picture = inspect(head + tail)
    assert picture is None or min(picture.width, picture.height) >= 0
