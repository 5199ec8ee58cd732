"""Sheets: every picture in its place, every word on the page, nothing from the network."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from limner.usecases.pictures import sheet
from limner.usecases.pictures.sheet import Cell, Sheet

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]


def flat(colour, height=32, width=32):
    return np.full((height, width, 3), colour, np.uint8)


def made(**more):
    cells = [Cell(flat(colour), f"cell {n}", crisp=True) for n, colour in enumerate(COLOURS)]
    fields = {
        "title": "Böcklin <b>",
        "cells": (tuple(cells[:2]), tuple(cells[2:])),
        "columns": ("left", "right"),
        "rows": ("above", "below"),
        "notes": ("seed 5",),
    }
    return Sheet(**{**fields, **more})


def box(pixels, colour):
    """Left, top, right, bottom of what has this colour."""
    rows, columns = np.nonzero((pixels == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_pictures_lie_in_rows_and_columns_and_grow_by_whole_numbers():
    pixels = sheet.to_pixels(made(), cell_px=100)
    boxes = [box(pixels, colour) for colour in COLOURS]
    assert all((right - left, bottom - top) == (96, 96) for left, top, right, bottom in boxes)
    red, green, blue, yellow = boxes
    assert red[1] == green[1] < blue[1] == yellow[1]
    assert red[0] == blue[0] < green[0] == yellow[0]
    assert green[0] >= red[2]
    assert blue[1] >= red[3]


def test_pictures_shrink_and_keep_their_proportions():
    wide = Sheet("wide", ((Cell(flat(COLOURS[0], 100, 400)),),))
    left, top, right, bottom = box(sheet.to_pixels(wide, cell_px=200), COLOURS[0])
    assert (right - left, bottom - top) == (200, 50)


def test_words_are_written():
    """Each label changes the sheet, so none is forgotten."""
    whole = sheet.to_pixels(made())
    for change in ({"title": "Another"}, {"notes": ("seed 6",)}, {"columns": ("left", "RIGHT")},
                   {"rows": ("above", "BELOW")}):  # fmt: skip
        other = sheet.to_pixels(made(**change))
        assert other.shape != whole.shape or not np.array_equal(other, whole), change


def test_long_labels_are_wrapped_inside_the_sheet():
    long = made(columns=("word " * 40, "right"), notes=("note " * 100,))
    pixels = sheet.to_pixels(long)
    assert pixels.shape[0] > sheet.to_pixels(made()).shape[0]
    paper = tuple(int(sheet.PAPER[i : i + 2], 16) for i in (1, 3, 5))
    assert (pixels[:, -8:] == paper).all()


def test_png_and_its_small_form():
    small, whole = sheet.to_small_png(made()), sheet.to_png(made())
    assert Image.open(io.BytesIO(small)).size == Image.open(io.BytesIO(whole)).size
    pixels = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"))
    assert np.array_equal(box(pixels, COLOURS[1]), box(sheet.to_pixels(made()), COLOURS[1]))


def test_html_holds_the_files_and_escapes_words():
    own = Cell(flat(COLOURS[0]), 'a "quoted" <i>', png=b"file")
    page = sheet.to_html(made(cells=((own, Cell()),)))
    assert "<h1>Böcklin &lt;b&gt;</h1>" in page
    assert "a &quot;quoted&quot; &lt;i&gt;" in page
    assert f"data:image/png;base64,{base64.b64encode(b'file').decode()}" in page
    assert not re.search(r"https?://|<script|<link", page)
    for word in ("left", "above", "seed 5"):
        assert word in page


@pytest.mark.parametrize("columns", [1, 3, 4])
def test_a_gallery_has_so_many_in_a_row(columns):
    cells = [Cell(flat(colour)) for colour in COLOURS]
    rows = sheet.gallery("all", cells, columns).cells
    assert len(rows[0]) == columns
    assert [cell for row in rows for cell in row] == cells
