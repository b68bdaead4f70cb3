"""TeX to MathML, which browsers show without a script, and the mathematical font for it; both made with the pages."""

import functools
import html
import importlib.util
import io
import re
from pathlib import Path

TAG = re.compile(r"\\tag\{([^{}]*)\}")
BREAKS = frozenset("=≤≥<>≠≈∼∝∈→⟹⇒+−,")
VARIANT = "\N{VARIATION SELECTOR-1}"  # asks for chancery letters, which many fonts lack
LONG = 30  # characters of TeX above which a formula within a line may be too wide for a telephone
ITALIC = {0x210E, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)}  # browsers show single letters by these
SILENT = {0x2061}  # function application


@functools.cache
def _converter():
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False)


def _mathml(tex, display):
    from math_core import LatexError

    try:  # TeX's control space may be a backslash at the end of a line
        math = _converter().convert_with_local_state(tex.replace("\\\n", "\\ ").strip(), displaystyle=display)
    except LatexError as err:
        raise ValueError(f"formula {tex!r} cannot be shown: {err}") from None
    return _adapted(math) if re.search("[′″⏟]|<msu[bp]+><mo[^>]* minsize", math) else math.replace(VARIANT, "")


def _adapted(math):
    """Rewrite what Chromium shows badly: primes, large brackets with an exponent, and braces below a formula."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(math.replace(VARIANT, ""), "html.parser")
    for prime in soup.find_all("mo", string=re.compile("[′″]")):  # fonts draw it raised: as an exponent it is tiny
        script, base = prime.parent, prime.parent.contents[0]
        prime.attrs |= {"lspace": "0", "rspace": "0"}
        if script.name == "msup":
            script.name = "mrow"
        elif script.name == "msubsup":
            script.name = "msub"
            base.wrap(soup.new_tag("mrow")).append(prime.extract())
    for bracket in soup.select(":is(msup, msubsup) > mo[minsize]:first-child"):  # with an exponent it would not grow
        height = 0.25 + float(bracket["minsize"].removesuffix("em")) / 2  # of a bracket centred on the axis
        script = bracket.parent
        script.insert_before(bracket.extract())
        script.insert(0, soup.new_tag("mspace", attrs={"height": f"{height:.3g}em", "width": "0.06em"}))
    for brace in soup.find_all("mo", string="⏟"):  # parts of it are not painted
        below = brace.parent
        brace.decompose()
        below.name, below.attrs = "mrow", {"class": "underlined"}
    return str(soup)


def block(tex):
    r"""A formula on a line of its own as HTML, with its label at the right where the TeX has a `\tag`."""
    label = TAG.search(tex)
    math = _mathml(TAG.sub("", tex), True)
    reach = ' tabindex="0"' if len(tex) > LONG else ""  # what may need scrolling must be reached by keyboard
    tag = f'<span class="tag">({html.escape(label[1])})</span>' if label else ""
    return f'<span class="formula"><span class="wide"{reach}>{math}</span>{tag}</span>'


def inline(tex):
    """A formula within a line as HTML; a long one may break after a relation, a plus or a comma, as in TeX."""
    math = _mathml(tex, False)
    return "<wbr>".join(_pieces(math)) if len(tex) > LONG else math


def _pieces(math):
    """Cut MathML behind the operators at its top level; an operator at an end keeps its spaces."""
    from bs4 import BeautifulSoup

    pieces = [""]
    for child in list(BeautifulSoup(math, "html.parser").math.contents):
        # a sign has no space, and no break
        broken = child.name == "mo" and child.get_text() in BREAKS and "lspace" not in child.attrs
        if broken:
            child["form"] = "infix"
        pieces[-1] += str(child)
        if broken:
            pieces.append("")
    return [f"<math>{piece}</math>" for piece in pieces if piece]


def characters(pages):
    """The set of all characters that the formulas of some pages show."""
    found = "".join("".join(re.findall(r"<math.*?</math>", page, re.DOTALL)) for page in pages)
    return set(html.unescape(re.sub(r"<[^>]*>", "", found)))


def font(characters):
    """STIX Two Math (SIL Open Font License 1.1, named inside the font), reduced to some characters, as bytes of WOFF.

    Without a mathematical font, which many computers lack, browsers do not stretch brackets. Raises ValueError for a
    character that the font lacks. Source: https://github.com/stipub/stixfonts, as it comes with the package ziamath.
    """
    from fontTools import subset

    path = Path(importlib.util.find_spec("ziamath").submodule_search_locations[0]) / "fonts" / "STIXTwoMath-Regular.ttf"
    everything = {"layout_features": "*", "name_IDs": "*", "notdef_outline": True}
    options = subset.Options(flavor="woff", drop_tables=["DSIG"], **everything)
    stream = io.BytesIO()
    with subset.load_font(path, options) as full:
        missing = sorted(set(map(ord, characters)) - set(full.getBestCmap()) - SILENT)
        if missing:
            raise ValueError(f"formulas use a character that the font lacks: U+{missing[0]:04X} {chr(missing[0])!r}")
        maker = subset.Subsetter(options)
        maker.populate(unicodes=set(map(ord, characters)) | ITALIC)
        maker.subset(full)
        subset.save_font(full, stream, options)
    return stream.getvalue()
