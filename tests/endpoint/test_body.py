import base64
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint.body import STEP_BYTES, Splice


def spliced(*pieces):
    """A body of texts (str) and images (bytes)."""
    splice = Splice()
    for piece in pieces:
        if isinstance(piece, bytes):
            splice.inline(piece)
        else:
            splice.write(piece.encode())
    return splice.body(model="m", token_field="max_tokens")


def test_a_body_leaves_in_small_steps():
    image = bytes(range(256)) * 4000
    chunks = [*spliced("a", image, "b", image, "c").chunks()]
    encoded = base64.b64encode(image)
    assert b"".join(chunks) == b"a" + encoded + b"b" + encoded + b"c"
    assert max(map(len, chunks)) < 2 * STEP_BYTES * 4 / 3
    assert len(chunks) > len(encoded) // STEP_BYTES


def test_a_small_body_leaves_at_once():
    assert [*spliced("a", b"123", "b").chunks()] == [b"aMTIzb"]


def test_an_empty_body_is_no_chunk():
    assert [*spliced().chunks()] == [b""]


def test_a_body_shows_no_image_when_printed():
    assert "secret" not in repr(spliced("a", b"secret"))


@given(st.lists(st.text(max_size=5) | st.binary(max_size=9), max_size=6))
def test_the_length_is_known_before_anything_is_encoded(pieces):
    body = spliced(*pieces)
    images = [piece for piece in pieces if isinstance(piece, bytes)]
    wire = b"".join(
        base64.b64encode(piece) if isinstance(piece, bytes) else piece.encode() for piece in pieces
    )
    assert b"".join(body.chunks()) == wire
    assert (body.length, body.image_bytes) == (len(wire), sum(map(len, images)))


def test_a_large_image_is_never_in_memory_as_text():
    body = spliced('"', bytes(20_000_000), '"')
    tracemalloc.start()
    sent = sum(map(len, body.chunks()))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sent == body.length > 26_000_000
    assert most < 10 * STEP_BYTES
