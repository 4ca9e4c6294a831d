"""What broadcasters and fansubbers burn into frames, drawn onto clean ones: subtitles, logos, black bars.

The fonts are those that matplotlib and Pillow bring, so that every machine draws the same.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

LINES = {
    "English": ("I never said it was easy.", "You came all this way for a carrot?", "Wait! Don't touch that.", "No."),
    "German": ("Warum hast du das getan?", "Wir müssen sofort zurück.", "Schön, dich zu sehen!"),
    "French": ("Ça ne marchera jamais, mon ami.", "Où est-il passé ?"),
    "Spanish": ("¿Qué estás haciendo aquí?", "Mañana será otro día."),
    "Polish": ("Chodźmy już stąd, proszę.", "Źle się czuję."),
    "Russian": ("Я же говорил тебе об этом.", "Куда они все ушли?"),
    "Greek": ("Δεν ξέρω τι να κάνω.", "Πού πας;"),
    "Turkish": ("Bunu sana söylemiştim.", "Çok güzel bir gün."),
    "Vietnamese": ("Tôi không biết phải làm gì.",),
}
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "")
"""Files of matplotlib; empty is Pillow's own, which has English letters only."""
LOOKS = ("outlined", "yellow", "shadowed", "boxed", "thin outline")


@dataclass(frozen=True)
class Subtitle:
    """How one subtitle is drawn; `height` is of a line, as a share of the frame's."""

    font: str
    look: str
    script: str
    height: float
    lines: tuple[str, ...]
    margin: float = 0.05
    """Below the last line, as a share of the frame's height."""

    @classmethod
    def drawn_by_chance(cls, chance: Random) -> Subtitle:
        """One of every font, look, script, size, of one line or two."""
        font = chance.choice(FONTS)
        script = chance.choice(list(LINES)) if font else "English"
        lines = tuple(chance.choice(LINES[script]) for _ in range(chance.choice((1, 1, 2))))
        height, margin = chance.uniform(0.035, 0.075), chance.uniform(0.03, 0.1)
        return cls(font, chance.choice(LOOKS), script, height, lines, margin)

    def draw(self, frame: Image.Image, corner: str = "") -> tuple[Image.Image, tuple[int, int, int, int]]:
        """The frame with it, and the box of its letters (left, top, right, bottom); `corner`: such as "top left"."""
        size = max(8, round(self.height * frame.height))
        font = _font(self.font, size)
        while font.getlength(max(self.lines, key=len)) > 0.92 * frame.width:
            size -= 1
            font = _font(self.font, size)
        made, text = frame.copy(), "\n".join(self.lines)
        draw = ImageDraw.Draw(made, "RGBA")
        stroke = {"outlined": max(1, size // 12), "yellow": max(1, size // 14), "thin outline": 1}.get(self.look, 0)
        how = {"anchor": "ma", "align": "center", "font": font, "stroke_width": stroke}
        left, top, right, bottom = draw.textbbox((0, 0), text, **how)
        edge = self.margin * frame.height
        across = {"": frame.width / 2, "left": edge - left, "right": frame.width - edge - right}[corner.split(" ")[-1]]
        where = across, edge - top if "top" in corner else frame.height - edge - bottom
        box = draw.textbbox(where, text, **how)
        colour = "#ffee22" if self.look == "yellow" else "white"
        if self.look == "boxed":
            draw.rectangle(
                (box[0] - size // 3, box[1] - size // 6, box[2] + size // 3, box[3] + size // 6), (0, 0, 0, 170)
            )
        if self.look == "shadowed":
            shadow = Image.new("L", frame.size)
            ImageDraw.Draw(shadow).text((where[0] + size / 14, where[1] + size / 14), text, 255, **how)
            made.paste("black", mask=shadow.filter(ImageFilter.GaussianBlur(size / 20)))
        draw.text(where, text, colour, stroke_fill="black", **how)
        return made, tuple(round(side) for side in box)


def logo(frame: Image.Image, corner: str = "top right", opacity: float = 0.6) -> tuple[Image.Image, tuple[int, ...]]:
    """The frame with a broadcaster's mark in a corner, half transparent, and the box of it."""
    height = round(0.06 * frame.height)
    width, edge = round(2.2 * height), round(0.05 * frame.height)
    left = edge if "left" in corner else frame.width - edge - width
    top = edge if "top" in corner else frame.height - edge - height
    mark = Image.new("L", frame.size)
    draw = ImageDraw.Draw(mark)
    box = left, top, left + width, top + height
    draw.rounded_rectangle(box, height // 4, outline=255, width=max(2, height // 10))
    draw.text((left + width / 2, top + height / 2), "KTV", 255, _font("DejaVuSans-Bold", round(0.7 * height)), "mm")
    made = frame.copy()
    made.paste("white", mask=mark.point(lambda value: round(value * opacity)))
    return made, box


def with_bars(
    frame: Image.Image, top: int = 0, side: int = 0, colour: str = "black"
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A frame of the same size whose picture is scaled to leave bars of `top` and `side` pixels; the picture's box."""
    inner = frame.resize((frame.width - 2 * side, frame.height - 2 * top), Image.Resampling.LANCZOS)
    made = Image.new("RGB", frame.size, colour)
    made.paste(inner, (side, top))
    return made, (side, top, frame.width - side, frame.height - top)


def scenes(frames: list[Image.Image], count: int) -> list[Image.Image]:
    """Parts of the frames, enlarged to 1280x720: each is unlike the others."""
    chance, made = Random(5), []
    for number in range(count):
        frame, wide = frames[number % len(frames)], chance.randint(400, 900)
        left, top = chance.randint(0, frame.width - wide), chance.randint(0, frame.height - wide * 9 // 16)
        part = frame.crop((left, top, left + wide, top + wide * 9 // 16)).resize((1280, 720))
        made.append(ImageOps.mirror(part) if chance.random() < 0.5 else part)
    return made


def jpeg(frame: Image.Image, quality: int) -> bytes:
    """The frame as a JPEG of this quality."""
    out = io.BytesIO()
    frame.save(out, "JPEG", quality=quality)
    return out.getvalue()


def as_jpeg(frame: Image.Image, quality: int) -> Image.Image:
    """The frame as it comes out of a JPEG of this quality."""
    return Image.open(io.BytesIO(jpeg(frame, quality)))


def darkened(frame: Image.Image, share: float) -> Image.Image:
    """A night of it: the brightness times `share`, most so at the top."""
    fall = np.linspace(0.3, 1.0, frame.height, dtype=np.float32)[:, None, None]
    return Image.fromarray((np.asarray(frame.convert("RGB"), np.float32) * share * fall).astype(np.uint8))


def _font(name: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if not name:
        return ImageFont.load_default(size)
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)
