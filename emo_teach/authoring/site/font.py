"""The mathematical font that goes with the pages: many computers have none, and then no bracket grows with what it holds."""

import importlib.util
import io
from pathlib import Path

ITALIC = {0x210E, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)}  # browsers show single letters by these
SILENT = {0x2061}  # function application


def subset(characters):
    """STIX Two Math (SIL Open Font License 1.1, named inside the font) with no more than some characters need, as WOFF.

    Returns bytes. Raises ValueError for a character that the font does not have. Source:
    https://github.com/stipub/stixfonts, as it comes with the package ziamath.
    """
    from fontTools import subset as fonttools

    path = Path(importlib.util.find_spec("ziamath").submodule_search_locations[0]) / "fonts" / "STIXTwoMath-Regular.ttf"
    options = fonttools.Options(
        flavor="woff", layout_features="*", name_IDs="*", notdef_outline=True, drop_tables=["DSIG"]
    )
    font = fonttools.load_font(path, options)
    missing = sorted(set(map(ord, characters)) - set(font.getBestCmap()) - SILENT)
    if missing:
        raise ValueError(f"formulas use a character that the font lacks: U+{missing[0]:04X} {chr(missing[0])!r}")
    maker = fonttools.Subsetter(options)
    maker.populate(unicodes=set(map(ord, characters)) | ITALIC)
    maker.subset(font)
    stream = io.BytesIO()
    fonttools.save_font(font, stream, options)
    return stream.getvalue()
