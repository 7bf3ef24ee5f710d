import asyncio
import base64
import errno
import os
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web
from PIL import Image

from tests.source.drawing import animation, decoded, encoded, gradient, limits
from tests.source.waiting import QuickClock
from vbatch.errors import ImageError
from vbatch.records import ImageSource, PreparedImage, RemoteImage
from vbatch.source import allowance, disk, loader
from vbatch.source.loader import ImageLoader

PICTURE = encoded()
NOISE = encoded(Image.effect_noise((300, 200), 90), quality=90)


def path(ref, detail=None):
    return ImageSource(kind="path", ref=ref, detail=detail)


def url(ref, detail=None):
    return ImageSource(kind="url", ref=ref, detail=detail)


def embedded(data, detail=None):
    return ImageSource(kind="bytes", data=data, detail=detail)


def data_uri(data):
    text = base64.b64encode(data).decode()
    return ImageSource(kind="data_uri", ref=f"data:image/jpeg;base64,{text}")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    (tmp_path / "noise.jpg").write_bytes(NOISE)
    return tmp_path


@pytest.fixture
def loading(root):
    @asynccontextmanager
    async def make(**options):
        settings = {
            "limits": limits(),
            "send": "auto",
            "urls": True,
            "roots": [root],
            "allow_private_urls": True,
            "max_count": None,
            "max_request_bytes": None,
            "clock": QuickClock(),
            "threads": 2,
        }
        made = ImageLoader(**{**settings, **options})
        try:
            yield made
        finally:
            await made.close()

    return make


@pytest.fixture
async def pictures():
    """A web server on loopback that has one picture, and counts."""
    asked, stalled = [], asyncio.Event()

    async def answer(request):
        asked.append(request.path)
        if request.path == "/a.jpg":
            return web.Response(body=PICTURE)
        if request.path == "/chunks.jpg":
            reply = web.StreamResponse()
            await reply.prepare(request)
            for start in range(0, len(NOISE), 1000):
                await reply.write(NOISE[start : start + 1000])
            return reply
        if request.path == "/stall":
            stalled.set()
            await asyncio.Event().wait()
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield SimpleNamespace(base=f"http://127.0.0.1:{port}", asked=asked, stalled=stalled)
    await runner.cleanup()


async def refusal(loading, images, **options):
    async with loading(**options) as images_loader:
        with pytest.raises(ImageError) as caught:
            await images_loader.load(images)
    return caught.value


async def test_images_of_every_kind_come_in_the_order_of_the_row(loading, pictures):
    sources = [
        url("https://example.com/x.jpg", "low"),
        path("a.jpg", "high"),
        embedded(NOISE, "auto"),
        url(f"{pictures.base}/a.jpg", "low"),
        data_uri(PICTURE),
    ]

    async with loading() as images_loader:
        sent = await images_loader.load(sources)

    assert sent[0] == RemoteImage(url="https://example.com/x.jpg", detail="low")
    assert [image.data for image in sent[1:]] == [PICTURE, NOISE, PICTURE, PICTURE]
    assert [image.detail for image in sent] == ["low", "high", "auto", "low", None]


@pytest.mark.parametrize(
    ("send", "urls", "ref", "remote"),
    [
        ("auto", True, "https://example.com/a.jpg", True),
        ("auto", True, "HTTPS://example.com/a.jpg", True),
        ("auto", True, "https://example.com?a.jpg", True),
        ("auto", True, "https://user@example.com:8443/a.jpg", True),
        ("auto", True, "https://example.com@10.0.0.1/a.jpg", False),
        ("auto", True, "https://8.8.8.8/a.jpg", True),
        ("auto", True, "http://example.com/a.jpg", False),
        ("auto", True, "https://localhost/a.jpg", False),
        ("auto", True, "https://10.0.0.1/a.jpg", False),
        ("auto", True, "https://0x7f.1/a.jpg", False),
        ("auto", True, "https://[::1]/a.jpg", False),
        ("auto", True, "https://[::1/a.jpg", False),
        ("auto", True, "https:///a.jpg", False),
        ("auto", False, "https://example.com/a.jpg", False),
        ("inline", True, "https://example.com/a.jpg", False),
        ("url", True, "http://10.0.0.1/a.jpg", True),
        ("url", False, "http://example.com/a.jpg", True),
    ],
)
async def test_what_goes_as_a_url_depends_on_job_endpoint_and_address(
    loading, send, urls, ref, remote
):
    async with loading(send=send, urls=urls) as images_loader:
        hint = images_loader.size_hint([url(ref)])
        if remote:
            assert await images_loader.load([url(ref)]) == (RemoteImage(url=ref),)

    assert (hint == 0) == remote


async def test_on_request_even_a_public_url_is_sent_inline(loading, pictures):
    async with loading(send="url") as images_loader:
        assert isinstance(
            (await images_loader.load([url(f"{pictures.base}/a.jpg")]))[0], RemoteImage
        )
        assert not pictures.asked
        (sent,) = await images_loader.load([url(f"{pictures.base}/a.jpg")], inline=True)

    assert sent.data == PICTURE


async def test_private_urls_are_forbidden_unless_allowed(loading, pictures):

    error = await refusal(loading, [url(f"{pictures.base}/a.jpg")], allow_private_urls=False)

    assert error.code == "image_forbidden"
    assert not pictures.asked


async def test_one_bad_url_fails_the_row_at_once(loading, pictures):

    error = await refusal(
        loading, [url(f"{pictures.base}/stall"), url(f"{pictures.base}/gone.jpg")]
    )

    assert error.code == "image_not_found"
    assert "gone.jpg" in error.message
    assert set(pictures.asked) == {"/stall", "/gone.jpg"}


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (path("no.jpg"), "image_not_found", "no.jpg"),
        (path("../no.jpg"), "image_forbidden", "no.jpg"),
        (path("s3://bucket/no.jpg"), "image_unsupported", "s3://"),
        (url("gs://bucket/no.jpg"), "image_unsupported", "gs://"),
        (path("words.jpg"), "image_unsupported", "'words.jpg': this is text"),
        (embedded(b""), "image_unreadable", "embedded image"),
        (data_uri(b"words"), "image_unsupported", "data URI"),
        (ImageSource(kind="data_uri", ref="data:;base64,a"), "image_unreadable", "data URI"),
    ],
)
async def test_a_bad_image_is_named(loading, root, source, code, words):
    (root / "words.jpg").write_text("words")

    error = await refusal(loading, [path("a.jpg"), source])

    assert error.code == code
    assert words in error.message


async def test_more_images_than_the_endpoint_takes_are_refused_before_any_is_read(loading):
    error = await refusal(loading, [path("no.jpg")] * 3, max_count=2)

    assert error.code == "too_many_images"
    assert "3 images" in error.message


async def test_a_row_without_images_needs_none(loading):
    async with loading() as images_loader:
        assert await images_loader.load([]) == ()
        assert images_loader.size_hint([]) == 0


# --- sizes -----------------------------------------------------------------------------------


async def test_all_images_of_a_request_share_its_bytes(loading):
    cap = len(PICTURE) + len(NOISE)
    async with loading(max_request_bytes=cap) as images_loader:
        sent = await images_loader.load([path("noise.jpg"), path("a.jpg"), embedded(NOISE)])

    assert sum(len(image.data) for image in sent) <= cap
    assert sent[1].data == PICTURE
    assert all(len(image.data) > len(NOISE) / 4 for image in (sent[0], sent[2]))


async def test_images_that_can_never_share_it_are_a_request_too_large(loading):
    error = await refusal(loading, [path("noise.jpg"), path("a.jpg")], max_request_bytes=200)

    assert error.code == "request_too_large"


@pytest.mark.parametrize(
    ("sizes", "cap", "share"),
    [
        ([10, 20], None, None),
        ([10, 20], 30, None),
        ([10, 20], 29, 19),
        ([20, 20, 20], 30, 10),
        ([1, 50, 5, 100], 60, 27),
    ],
)
def test_small_images_leave_their_share_to_large_ones(sizes, cap, share):
    assert loader._share(sizes, cap) == share
    assert share is None or sum(min(size, share) for size in sizes) <= cap


async def test_shrinking_makes_side_and_bytes_smaller(loading):
    async with loading() as images_loader:
        (whole,) = await images_loader.load([path("noise.jpg")])
        (half,) = await images_loader.load([path("noise.jpg")], shrink=0.5)

    assert (whole.width, half.width, half.height) == (300, 150, 100)
    assert len(half.data) <= len(whole.data) / 2


async def test_shrinking_starts_from_what_the_limits_leave(loading):
    async with loading(limits=limits(max_side=100, max_bytes=50_000)) as images_loader:
        (half,) = await images_loader.load([path("noise.jpg")], shrink=0.5)

    assert half.width == 50


async def test_a_shrunken_animation_is_its_first_frame(loading):
    async with loading() as images_loader:
        (sent,) = await images_loader.load([embedded(animation("GIF"))], shrink=0.5)

    assert sent.media_type == "image/png"
    assert decoded(sent.data).size == (20, 12)


async def test_the_hint_is_the_size_of_what_is_there_and_a_guess_for_what_is_not_looked_at(loading):
    sources = [path("a.jpg"), embedded(NOISE), path("../x"), url("https://e.com/")]

    async with loading() as images_loader:
        hint = images_loader.size_hint(sources)
        assert hint == 2 * allowance.FIRST_GUESS_BYTES + len(NOISE)
        assert images_loader.size_hint([url("http://e.com/")]) == loader.URL_HINT_BYTES
        assert images_loader.size_hint([data_uri(NOISE)]) >= len(NOISE)


async def test_the_guess_comes_close_to_the_files_that_are_read(loading, root):
    for number in range(60):
        (root / f"{number}.jpg").write_bytes(NOISE)
    async with loading() as images_loader:
        for number in range(60):
            await images_loader.load([path(f"{number}.jpg")])

        assert images_loader.size_hint([path("a.jpg")]) == pytest.approx(2 * len(NOISE), rel=0.5)


def test_the_guess_follows_the_last_files_and_is_never_tiny():
    usual = allowance.Usual()
    for _ in range(100):
        usual.note(6_000_000)
    assert usual.guess == pytest.approx(12_000_000, rel=0.01)
    for _ in range(100):
        usual.note(10)
    assert usual.guess == pytest.approx(allowance.LEAST_GUESS_BYTES, rel=0.5)


async def test_files_beyond_the_guess_find_room_before_they_are_read(loading, monkeypatch):
    room, reads = Room(at_once=False), []
    read = disk._read

    def noting(fd, size):
        reads.append((size, sum(room.waited)))
        return read(fd, size)

    monkeypatch.setattr(disk, "_read", noting)
    async with loading() as images_loader:
        images = [path("a.jpg"), path("noise.jpg"), path("a.jpg", "low")]
        await images_loader.load(images, room=room, granted=1_000)
        granted = 1_000 + room.waited[0]

    assert len(room.waited) == 1
    assert granted >= 2 * len(PICTURE) + len(NOISE)
    assert sum(size for size, waited in reads if not waited) <= 1_000
    assert (len(NOISE), room.waited[0]) in reads


async def test_what_fits_the_guess_asks_for_no_room(loading):
    room = Room(at_once=False)
    async with loading() as images_loader:
        for images in ([path("a.jpg")], [path("noise.jpg"), embedded(NOISE)]):
            await images_loader.load(images, room=room, granted=images_loader.size_hint(images))

    assert room.waited == []


async def test_no_file_is_looked_at_on_the_event_loop(loading, monkeypatch):
    threads = set()
    plain = {name: getattr(os, name) for name in ("stat", "open", "fstat", "read", "close")}

    def noting(name):
        def call(*args, **options):
            threads.add(threading.current_thread())
            return plain[name](*args, **options)

        return call

    async with loading() as images_loader:
        for name in plain:
            monkeypatch.setattr(disk.os, name, noting(name))
        images = [path("a.jpg"), path("noise.jpg")]
        await images_loader.load(images, granted=images_loader.size_hint(images))
        monkeypatch.undo()

    assert threads
    assert threading.current_thread() not in threads


# --- threads ---------------------------------------------------------------------------------


async def test_the_images_of_a_row_are_made_in_one_thread_that_is_not_the_loops(
    loading, monkeypatch
):
    threads = []
    prepare = loader.images.prepare

    def noting(*args, **options):
        threads.append(threading.current_thread())
        return prepare(*args, **options)

    monkeypatch.setattr(loader.images, "prepare", noting)
    async with loading() as images_loader:
        await images_loader.load([path("a.jpg"), path("noise.jpg"), data_uri(PICTURE)])

    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()


async def test_many_rows_at_once_each_get_their_own(loading):
    files = [encoded(gradient("RGB", (60 + n, 40))) for n in range(40)]
    async with loading(limits=limits(max_side=30)) as images_loader:
        rows = await asyncio.gather(*(images_loader.load([embedded(file)]) for file in files))

    heights = [decoded(file).height * 30 / (60 + n) for n, file in enumerate(files)]
    assert [round(height) for height in heights] == [row[0].height for row in rows]


async def test_a_cancelled_row_leaves_the_loader_usable(loading, pictures):
    async with loading() as images_loader:
        slow = asyncio.create_task(
            images_loader.load([url(f"{pictures.base}/stall"), path("a.jpg")])
        )
        await pictures.stalled.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await images_loader.load([path("a.jpg")]))[0].data == PICTURE


async def test_without_free_descriptors_the_row_waits_and_does_not_fail(loading, monkeypatch):
    short = [OSError(errno.EMFILE, "Too many open files")] * 3
    plain = os.open

    def scarce(*args):
        if short:
            raise short.pop()
        return plain(*args)

    clock = QuickClock()
    monkeypatch.setattr(disk.os, "open", scarce)
    async with loading(clock=clock) as images_loader:
        assert (await images_loader.load([path("a.jpg")]))[0].data == PICTURE

    assert clock.naps == [0.5] * 3


async def test_descriptors_that_never_come_free_fail_the_row_with_advice(loading, monkeypatch):
    def none_free(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(disk.os, "open", none_free)

    error = await refusal(loading, [path("a.jpg")])

    assert error.code == "image_unreadable"
    assert "ulimit" in error.message


def test_there_are_as_many_threads_as_cores(monkeypatch):
    assert loader._cores() >= 1
    monkeypatch.delattr(loader.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(loader.os, "cpu_count", lambda: None)

    assert loader._cores() == 1


def test_pixels_wait_for_room_and_a_giant_goes_alone():
    room = loader._Room(100)
    inside, most = [], []

    def decode(size):
        with room.hold(size):
            inside.append(min(size, 100))
            most.append(sum(inside))
            inside.remove(min(size, 100))

    threads = [threading.Thread(target=decode, args=(size,)) for size in (60, 60, 500, 30) * 10]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert len(most) == 40
    assert max(most) <= 100


def test_small_pictures_do_not_pass_a_large_one_that_waits_for_room():
    room = loader._Room(100)
    order, arrived, turn = [], threading.Semaphore(0), threading.Lock()

    class Turnstile:
        """Tells of everybody who is in it, or waits before it."""

        def __enter__(self):
            free = turn.acquire(blocking=False)
            arrived.release()
            if not free:
                turn.acquire()

        def __exit__(self, *_):
            turn.release()

    def decode(size):
        with room.hold(size):
            order.append(size)

    threads = [threading.Thread(target=decode, args=(size,)) for size in (100, 10)]
    with room.hold(60):
        room._next = Turnstile()
        for thread in threads:
            thread.start()
            arrived.acquire(timeout=10)
    for thread in threads:
        thread.join(timeout=10)

    assert order == [100, 10]


async def test_room_is_given_back_when_decoding_fails(loading, monkeypatch):
    monkeypatch.setattr(loader, "DECODED_BYTES", 10)
    torn = encoded(gradient(size=(300, 200)))[:-500]
    async with loading(limits=limits(max_side=20)) as images_loader:
        for _ in range(3):
            with pytest.raises(ImageError):
                await images_loader.load([embedded(torn)])
        (sent,) = await images_loader.load([embedded(PICTURE)])

    assert isinstance(sent, PreparedImage)
    assert sent.width == 20


# --- once for all rows -----------------------------------------------------------------------


@pytest.fixture
def prepared(monkeypatch):
    """The sizes of the files that were prepared, in their order."""
    sizes = []
    prepare = loader.images.prepare

    def noting(data, *args, **options):
        sizes.append(len(data))
        return prepare(data, *args, **options)

    monkeypatch.setattr(loader.images, "prepare", noting)
    return sizes


async def test_a_file_that_many_rows_use_at_once_is_read_and_prepared_once(
    loading, prepared, monkeypatch
):
    reads = []
    read = disk._read

    def noting(*args):
        reads.append(args)
        return read(*args)

    monkeypatch.setattr(disk, "_read", noting)
    async with loading(limits=limits(max_side=20)) as images_loader:
        rows = await asyncio.gather(
            *(images_loader.load([path("noise.jpg"), path("a.jpg")]) for _ in range(8)),
            *(images_loader.load([path("a.jpg")]) for _ in range(8)),
        )

    assert sorted(prepared) == sorted([len(NOISE), len(PICTURE)])
    assert len(reads) == 2
    assert {row[-1] for row in rows} == {rows[0][1]}


async def test_a_file_that_changed_or_is_wanted_otherwise_is_prepared_anew(loading, prepared, root):
    async with loading() as images_loader:
        held = await images_loader.load([path("noise.jpg")])
        other = await images_loader.load([path("noise.jpg", "low")])
        small = await images_loader.load([path("noise.jpg")], shrink=0.5)
        assert prepared == [len(NOISE)] * 4  # a smaller one starts from what the limits leave
        (root / "new.jpg").write_bytes(PICTURE)
        (root / "new.jpg").replace(root / "noise.jpg")
        changed = await images_loader.load([path("noise.jpg")])

    assert (held[0].data, changed[0].data) == (NOISE, PICTURE)
    assert other[0].detail == "low"
    assert small[0].width < held[0].width


async def test_where_one_row_fails_with_a_file_the_others_fail_by_themselves(loading, root):
    (root / "torn.jpg").write_bytes(NOISE[:-900])
    async with loading() as images_loader:
        errors = await asyncio.gather(
            *(images_loader.load([path("torn.jpg")]) for _ in range(3)), return_exceptions=True
        )

    assert [error.code for error in errors] == ["image_unreadable"] * 3
    assert len({id(error) for error in errors}) == 3


# --- room for what is fetched ----------------------------------------------------------------


class Room:
    """Has room at once, or only after a wait; notes what was wanted."""

    def __init__(self, *, at_once):
        self.at_once = at_once
        self.grown, self.waited = [], []

    def grow(self, n):
        if self.at_once:
            self.grown.append(n)
        return self.at_once

    async def wait_to_grow(self, n):
        self.waited.append(n)


async def test_what_a_url_holds_beyond_its_hint_finds_room_before_it_is_read(
    loading, pictures, monkeypatch
):
    monkeypatch.setattr(loader, "URL_HINT_BYTES", 100)
    room = Room(at_once=True)
    async with loading() as images_loader:
        (sent,) = await images_loader.load([url(f"{pictures.base}/a.jpg")], room=room)

    assert sent.data == PICTURE
    assert room.grown == [len(PICTURE) - 100]
    assert pictures.asked == ["/a.jpg"]


async def test_without_room_the_server_is_let_go_and_asked_again_later(
    loading, pictures, monkeypatch
):
    monkeypatch.setattr(loader, "URL_HINT_BYTES", 100)
    room = Room(at_once=False)
    async with loading() as images_loader:
        (sent,) = await images_loader.load([url(f"{pictures.base}/a.jpg")], room=room)

    assert sent.data == PICTURE
    assert room.waited == [len(PICTURE) - 100]
    assert pictures.asked == ["/a.jpg"] * 2


async def test_a_body_of_unknown_length_finds_room_by_doubling(loading, pictures, monkeypatch):
    hint = len(NOISE) // 7
    monkeypatch.setattr(loader, "URL_HINT_BYTES", hint)
    async with loading() as images_loader:
        waiting = Room(at_once=False)
        (sent,) = await images_loader.load([url(f"{pictures.base}/chunks.jpg")], room=waiting)
        asked = len(pictures.asked)

    assert sent.data == NOISE
    assert len(NOISE) <= hint + sum(waiting.waited) <= 3 * len(NOISE)
    assert asked == len(waiting.waited) + 1 <= 4


async def test_small_urls_and_fitting_hints_ask_for_no_room(loading, pictures):
    room = Room(at_once=False)
    async with loading() as images_loader:
        await images_loader.load([url(f"{pictures.base}/a.jpg")], room=room)
        public = [url("https://example.com/a.jpg")]
        assert images_loader.size_hint(public) == 0
        assert images_loader.size_hint(public, inline=True) == loader.URL_HINT_BYTES

    assert (room.grown, room.waited) == ([], [])
