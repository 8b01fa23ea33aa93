import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.transport.inflate import FREE, MAX_RATIO, InflateError, Inflater

PACK = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


def unpacked(coding, *pieces):
    inflater = Inflater(coding)
    return b"".join(inflater.feed(piece) for piece in pieces) + inflater.close()


@pytest.mark.parametrize("coding", PACK)
@given(data=st.binary(max_size=500), cut=st.integers(0, 600))
def test_what_was_packed_unpacks_however_it_is_cut(coding, data, cut):
    packed = PACK[coding](data)

    assert unpacked(coding, packed[:cut], packed[cut:]) == data


@pytest.mark.parametrize("coding", ["GZIP", " gzip "])
def test_a_coding_is_known_however_it_is_spelled(coding):
    assert unpacked(coding, gzip.compress(b"a")) == b"a"


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "", "zstd"])
def test_any_other_coding_is_refused(coding):
    with pytest.raises(InflateError):
        Inflater(coding).feed(b"a")


@given(st.integers(0, 40))
def test_an_end_that_is_missing_is_noticed(missing):
    packed = gzip.compress(bytes(range(100)))

    with pytest.raises(InflateError):
        unpacked("gzip", packed[: len(packed) - 1 - missing])


@pytest.mark.parametrize("data", [b"not packed", b"\x1f\x8bnot packed either"])
def test_what_is_not_packed_does_not_unpack(data):
    with pytest.raises(InflateError):
        unpacked("gzip", data)


def test_a_bomb_is_refused_before_it_has_unpacked_much():
    bomb = gzip.compress(b"\0" * (64 * FREE))
    inflater = Inflater("gzip")

    with pytest.raises(InflateError, match=f"{MAX_RATIO} times"):
        inflater.feed(bomb)


def test_a_bomb_in_small_pieces_is_refused_too():
    bomb = gzip.compress(b"\0" * (64 * FREE))
    pieces = [bomb[start : start + 512] for start in range(0, len(bomb), 512)]

    with pytest.raises(InflateError, match=f"{MAX_RATIO} times"):
        unpacked("gzip", *pieces)


def test_a_repetitive_answer_of_some_size_is_no_bomb():
    data = b"a" * (FREE - 1)

    assert unpacked("gzip", gzip.compress(data)) == data


def test_a_bomb_in_one_piece_is_found_before_it_has_grown():
    bomb = gzip.compress(bytes(100 * 1024 * 1024))
    inflater = Inflater("gzip")
    tracemalloc.start()
    try:
        with pytest.raises(InflateError):
            inflater.feed(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
