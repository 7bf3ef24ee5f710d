import pytest

from vbatch.errors import ManifestError
from vbatch.records import BadRow, ImageSource, Item


def _line(n, **more):
    return {"id": f"r{n}", "image": f"{n}.jpg", **more}


def test_columns_have_the_manifests_own_names(desk):
    names = {"id": "key", "image": "photo", "prompt": "question", "params": "settings"}
    row = {"key": 1, "photo": "p.jpg", "question": "Q?", "settings": {"detail": "low"}, "id": 9}
    found = desk.read(desk.lines(row), columns=names)
    assert (found.row.id, found.row.prompt, found.row.params) == ("1", "Q?", {"detail": "low"})
    assert found.row.given["image"] == "p.jpg"
    assert found.row.passthrough == {"in_id": 9}
    assert found.scan.renamed == {
        "id": "key",
        "image": "photo",
        "prompt": "question",
        "params": "settings",
        "in_id": "id",
    }


def test_columns_that_are_ignored_are_carried(desk):
    found = desk.read(desk.lines(_line(1, prompt="theirs")), columns={"prompt": False})
    assert found.row.prompt == "Describe."
    assert found.row.passthrough == {"in_prompt": "theirs"}
    assert "prompt" not in found.row.given


@pytest.mark.parametrize("name", ["image", "image_path", "file_name", "image_url", "url"])
def test_columns_of_images_are_found_under_usual_names(desk, name):
    found = desk.read(desk.lines({"id": 1, name: "a.jpg"}))
    assert found.row.images == (ImageSource(kind="path", ref="a.jpg"),)
    assert found.row.given["image"] == "a.jpg"
    assert found.row.passthrough == {}


def test_columns_beside_the_image_are_carried_even_if_they_could_be_images(desk):
    found = desk.read(desk.lines({"id": 1, "image": "a.jpg", "url": "https://x/page"}))
    assert len(found.row.images) == 1
    assert found.row.passthrough == {"url": "https://x/page"}


def test_columns_beside_a_list_of_images_are_no_images(desk):
    found = desk.read(desk.lines({"id": 1, "images": ["a", "b"], "url": "https://x/page"}))
    assert [image.ref for image in found.row.images] == ["a", "b"]
    assert found.row.passthrough == {"url": "https://x/page"}
    assert found.row.given == {"images": ["a", "b"]}


def test_columns_of_images_may_differ_from_row_to_row(desk):
    found = desk.read(desk.lines({"id": 1, "image": "a"}, {"id": 2, "image_url": "https://b"}))
    assert found.rows[1].images[0].ref == "https://b"
    assert found.scan.remote_images == 1


def test_columns_without_an_image_are_listed_with_the_line_to_write(desk):
    path = desk.lines({"id": 1, "caption": "c", "photo_file": "a.jpg"})
    with pytest.raises(ManifestError) as caught:
        desk.read(path)
    assert "'id', 'caption', 'photo_file'" in str(caught.value)
    assert '[columns]\nimage = "photo_file"' in str(caught.value)


def test_columns_without_an_image_and_nothing_like_one_get_a_line_to_fill_in(desk):
    with pytest.raises(ManifestError, match='image = "NAME OF YOURS"'):
        desk.read(desk.lines({"id": 1, "caption": "c"}))


def test_columns_named_in_the_job_but_absent_are_reported(desk):
    with pytest.raises(ManifestError, match="looked for 'photo' or 'images'"):
        desk.read(desk.lines({"id": 1, "image": "a"}), columns={"image": "photo"})


def test_columns_with_an_image_only_in_the_first_hundred_rows_will_do(desk):
    found = desk.read(desk.lines(*[{"id": n} for n in range(99)], {"id": 99, "image": "a"}))
    assert [type(row) for row in found.rows] == [BadRow] * 99 + [Item]


def test_the_first_rows_are_those_of_all_files(desk):
    one = desk.lines(*[{"id": n, "image": "a"} for n in range(100)], name="1.jsonl")
    two = desk.lines({"id": 100, "file_name": "b"}, name="2.jsonl")
    found = desk.read(desk.lines(name="0.jsonl"), one, two)
    assert found.rows[100].images[0].ref == "b"
    assert found.rows[100].passthrough == {"file_name": "b"}
