"""Boxes as COCO, Pascal VOC, YOLO and a plain table keep them, and what they may have wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sorter.errors import ExamplesError
from sorter.fit.boxes import Drawn, by_picture, of_class, read_boxes

BOX = (10.0, 20.0, 50.0, 80.0)


def coco(box: list[float] | None = None, name: str = "a/one.jpg") -> str:
    return json.dumps(
        {
            "images": [{"id": 7, "file_name": name, "width": 200, "height": 100}],
            "categories": [{"id": 3, "name": "head"}],
            "annotations": [
                {"image_id": 7, "category_id": 3, "bbox": box or [10, 20, 40, 60]},
                {"image_id": 7, "category_id": 3, "bbox": [0, 0, 200, 100], "iscrowd": 1},
            ],
        }
    )


def voc(body: str = "<xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>80</ymax>") -> str:
    return (
        "<annotation><filename>one.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>"
        f"<object><name>head</name><bndbox>{body}</bndbox></object></annotation>"
    )


def pixels(one: Drawn) -> tuple[float, ...]:
    wide, high = (200, 100) if one.size == (1, 1) else (1, 1)
    return tuple(round(side, 3) for side in (one.left * wide, one.top * high, one.right * wide, one.bottom * high))


def test_each_format_gives_the_same_box(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(coco(), encoding="utf-8-sig")
    (tmp_path / "plain.json").write_text('{"one.jpg": [10, 20, 50, 80]}', encoding="utf-8")
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "one.xml").write_text(voc(), encoding="utf-8")
    (tmp_path / "yolo" / "labels").mkdir(parents=True)
    (tmp_path / "yolo" / "labels" / "one.txt").write_text("1 0.15 0.5 0.2 0.6\n\n", encoding="utf-8")
    (tmp_path / "yolo" / "classes.txt").write_text("tail\nhead\n", encoding="utf-8")
    found = {name: read_boxes(tmp_path / name) for name in ("coco.json", "plain.json", "voc", "yolo")}
    assert {name: [pixels(one) for one in boxes] for name, boxes in found.items()} == {name: [BOX] for name in found}
    assert [found[name][0].kind for name in found] == ["head", "", "head", "head"]
    assert [Path(found[name][0].picture).stem for name in found] == ["one"] * 4


@pytest.mark.parametrize(
    "text", ["names: [tail, 'head']\n", "nc: 2\nnames:\n  0: tail\n  1: head\n", "names:\n- tail\n- head\npath: x\n"]
)
def test_yolo_outlines_and_the_names_of_a_data_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "one.txt").write_text("1 0.05 0.2 0.25 0.3 0.1 0.8\n", encoding="utf-8")
    assert [(one.kind, pixels(one)) for one in read_boxes(tmp_path)] == [("head", BOX)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is no COCO file"),
        ("a.json", '{"annotations": [{"image_id": 1}], "images": []}', "it has no 1"),
        ("a.json", "[" * 9000, "is no COCO file"),
        ("a.json", "{}", "holds no box; draw some first"),
        ("a.json", coco([10, 20, 0, 60]), "has no width or no height; draw it again"),
        ("a.json", '{"one.jpg": [NaN, 0, 10, 10]}', "has no width or no height"),
        ("a.xml", voc("<xmin>x</xmin>"), "is no Pascal VOC file"),
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]>" + voc(), "defines entities, which Pascal VOC has none of"),
        ("a.xml", "<annotation>", "is no Pascal VOC file"),
        ("d/one.txt", "0 0.5 0.5 0.2\n", "a line has 4 numbers, not 5"),
        ("d/one.txt", "0 320 240 40 60\n", "its numbers are not shares from 0 to 1"),
        ("d/one.txt", "head 0.5 0.5 0.2 0.2\n", "is no YOLO file"),
        ("a.csv", "x", "is no file of boxes"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExamplesError, match=said) as found:
        read_boxes(path.parent if name.startswith("d/") else path)
    assert "\n" not in str(found.value)


def test_which_class_is_wanted_must_be_said_where_there_are_several(tmp_path: Path) -> None:
    boxes = [Drawn("a.jpg", kind, *BOX) for kind in ("head", "tail")]
    with pytest.raises(ExamplesError, match='has boxes of "head", "tail"; say which are the heads: --box-class head'):
        of_class(boxes, None, tmp_path)
    with pytest.raises(ExamplesError, match='has no box of "ear"'):
        of_class(boxes, "ear", tmp_path)
    assert of_class(boxes, "tail", tmp_path) == boxes[1:]
    assert of_class(boxes[:1], None, tmp_path) == boxes[:1]


def test_boxes_find_their_pictures_by_path_name_or_stem(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("ep1/a.jpg", "ep2/a.jpg", "ep1/b.png", "ep1/C.JPG")]
    boxes = [Drawn(name, "", *BOX) for name in ("ep2\\a.jpg", "/home/x/b.png", "a.jpg", "labels/c", "gone.jpg")]
    found, missing = by_picture(boxes, tmp_path, files)
    assert {path.relative_to(tmp_path).as_posix() for path in found} == {"ep2/a.jpg", "ep1/b.png", "ep1/C.JPG"}
    assert missing == ["a.jpg", "gone.jpg"]
