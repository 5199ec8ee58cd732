"""Sheets: pictures in labelled rows and columns, as one PNG or one HTML page.

One mechanism for grids, style sheets, flows and the examples.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner import imaging
from limner.engine.batching.ticket import Pixels
from limner.usecases.drawing.pictures import Picture

PAPER, INK, FAINT, ACCENT = "#faf6ee", "#211c18", "#6d6459", "#b03a24"
GAP, MARGIN = 10, 24
TITLE_PX, LABEL_PX, NOTE_PX = 26, 17, 15
_FONT = "web/static/fonts/eb-garamond.woff2"


@dataclass(frozen=True)
class Cell:
    """A picture, if there is one, with words under it."""

    pixels: Pixels | None = None
    caption: str = ""
    png: bytes = b""
    crisp: bool = False

    @classmethod
    def of(cls, picture: Picture, caption: str = "") -> Cell:
        """A drawn picture; one of sprites is reduced to its true pixels."""
        if picture.sprite_pixels is None:
            return cls(picture.pixels, caption, picture.encode("png"))
        small = imaging.sprite(picture.pixels, picture.sprite_pixels)
        return cls(small, caption, picture.encode("png"), crisp=True)


@dataclass(frozen=True)
class Sheet:
    """Rows of cells; ``columns`` and ``rows`` are their labels, either may be empty."""

    title: str
    cells: tuple[tuple[Cell, ...], ...]
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def gallery(title: str, cells: Sequence[Cell], columns: int, notes: Sequence[str] = ()) -> Sheet:
    """Captioned cells without axes, ``columns`` in a row."""
    rows = [tuple(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return Sheet(title, tuple(rows), notes=tuple(notes))


def to_pixels(sheet: Sheet, cell_px: int = 160) -> Pixels:
    """The sheet as RGB; each picture fits into a square of ``cell_px``."""
    layout = _Layout(sheet, cell_px)
    image = Image.new("RGB", (layout.width, layout.height), PAPER)
    pen = ImageDraw.Draw(image)
    layout.draw_words(pen)
    for row, cells in enumerate(sheet.cells):
        for column, cell in enumerate(cells):
            _draw_cell(image, pen, cell, layout.at(row, column), layout)
    return np.asarray(image).copy()


def to_png(sheet: Sheet, cell_px: int = 160) -> bytes:
    """The sheet as PNG, without metadata of its own."""
    return imaging.to_png(to_pixels(sheet, cell_px))


def to_small_png(sheet: Sheet, cell_px: int = 160) -> bytes:
    """The same in at most 256 colours, which is a third of the bytes: for documentation."""
    image = Image.fromarray(to_pixels(sheet, cell_px))
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def to_html(sheet: Sheet) -> str:
    """The sheet as one page that needs no network; its pictures keep their metadata."""
    head = "".join(f"<th>{escape(label)}</th>" for label in sheet.columns)
    corner = "<th></th>" if sheet.rows else ""
    lines = [f"<tr>{corner}{head}</tr>"] if head else []
    for number, cells in enumerate(sheet.cells):
        label = f"<th>{escape(sheet.rows[number])}</th>" if sheet.rows else ""
        lines.append(f"<tr>{label}{''.join(map(_html_cell, cells))}</tr>")
    notes = "".join(f"<p>{escape(note)}</p>" for note in sheet.notes)
    title = escape(sheet.title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1><table>{''.join(lines)}</table>"
        f"<footer>{notes}</footer></html>\n"
    )


_STYLE = f"""
:root {{ color-scheme: light }}
body {{ margin: 2rem; background: {PAPER}; color: {INK}; font: 16px/1.4 Georgia, serif }}
h1 {{ font-weight: 500; color: {ACCENT} }}
th {{ font-weight: 500; color: {FAINT}; padding: .3rem .6rem; max-width: 14rem }}
td {{ vertical-align: top; padding: .3rem }}
img {{ display: block; width: 14rem; height: auto }}
.crisp {{ image-rendering: pixelated }}
figure {{ margin: 0 }} figcaption {{ max-width: 14rem; color: {FAINT} }}
footer {{ margin-top: 1rem; color: {FAINT}; max-width: 60rem }}
"""


def _html_cell(cell: Cell) -> str:
    if cell.pixels is None:
        return "<td></td>"
    data = base64.b64encode(cell.png or imaging.to_png(cell.pixels)).decode()
    kind = ' class="crisp"' if cell.crisp else ""
    words = escape(cell.caption)
    caption = f"<figcaption>{words}</figcaption>" if words else ""
    return (
        f'<td><figure><img{kind} alt="{words}" src="data:image/png;base64,{data}">'
        f"{caption}</figure></td>"
    )


class _Layout:
    """Where things are on a sheet, in pixels."""

    def __init__(self, sheet: Sheet, cell_px: int) -> None:
        self.sheet, self.cell_px = sheet, cell_px
        columns = max(map(len, sheet.cells))
        self.left = MARGIN + (cell_px * 2 // 3 + GAP if sheet.rows else 0)
        self.width = max(self.left + columns * (cell_px + GAP) - GAP + MARGIN, 480)
        self.title = _wrap(sheet.title, TITLE_PX, self.width - 2 * MARGIN)
        self.notes = [
            line for note in sheet.notes for line in _wrap(note, NOTE_PX, self.width - 2 * MARGIN)
        ]
        self.heads = [_wrap(label, LABEL_PX, cell_px) for label in sheet.columns]
        self.top = MARGIN + len(self.title) * _line(TITLE_PX) + GAP
        self.heads_y = self.top
        self.top += max(map(len, self.heads), default=0) * _line(LABEL_PX) + GAP // 2
        captions = [_wrap(c.caption, NOTE_PX, cell_px) for row in sheet.cells for c in row]
        self.caption_px = max(map(len, captions)) * _line(NOTE_PX)
        self.picture_px = max(
            (
                _fit(c.pixels, cell_px)[1]
                for row in sheet.cells
                for c in row
                if c.pixels is not None
            ),
            default=cell_px,
        )
        self.row_px = self.picture_px + self.caption_px + GAP
        self.notes_y = self.top + len(sheet.cells) * self.row_px + GAP
        self.height = self.notes_y + len(self.notes) * _line(NOTE_PX) + MARGIN - GAP

    def at(self, row: int, column: int) -> tuple[int, int]:
        """Left top corner of a cell."""
        return self.left + column * (self.cell_px + GAP), self.top + row * self.row_px

    def draw_words(self, pen: ImageDraw.ImageDraw) -> None:
        """Title, labels and notes."""
        _write(pen, (MARGIN, MARGIN - GAP), self.title, TITLE_PX, ACCENT)
        for column, lines in enumerate(self.heads):
            _write(pen, (self.at(0, column)[0], self.heads_y), lines, LABEL_PX, INK)
        for row, label in enumerate(self.sheet.rows):
            lines = _wrap(label, LABEL_PX, self.left - MARGIN - GAP)
            _write(pen, (MARGIN, self.at(row, 0)[1]), lines, LABEL_PX, INK)
        _write(pen, (MARGIN, self.notes_y), self.notes, NOTE_PX, FAINT)


def _draw_cell(
    image: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, at: tuple[int, int], layout: _Layout
) -> None:
    if cell.pixels is not None:
        size = _fit(cell.pixels, layout.cell_px)
        grown = size[0] >= cell.pixels.shape[1]
        how = Image.Resampling.NEAREST if cell.crisp and grown else Image.Resampling.LANCZOS
        image.paste(Image.fromarray(cell.pixels).resize(size, how), at)
    lines = _wrap(cell.caption, NOTE_PX, layout.cell_px)
    _write(pen, (at[0], at[1] + layout.picture_px), lines, NOTE_PX, FAINT)


def _fit(pixels: Pixels, cell_px: int) -> tuple[int, int]:
    """Width and height in a square of ``cell_px``; a whole multiple where it has to grow."""
    height, width, _ = pixels.shape
    scale = cell_px / max(height, width)
    scale = float(int(scale)) if scale >= 1 else scale
    return max(1, round(width * scale)), max(1, round(height * scale))


def _wrap(text: str, size: int, width: int) -> list[str]:
    if not text:
        return []
    average = _font(size).getlength("The quick brown fox jumps over the lazy dog") / 43
    return textwrap.wrap(text, max(8, int(width / average)), break_on_hyphens=False)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], size: int, colour: str
) -> None:
    for number, line in enumerate(lines):
        pen.text((at[0], at[1] + number * _line(size)), line, colour, _font(size))


def _line(size: int) -> int:
    return round(size * 1.25)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    file = resources.files("limner") / _FONT
    return ImageFont.truetype(io.BytesIO(file.read_bytes()), size)
