"""TeX to MathML, which browsers show without a script: once, when the pages are made, and never by guessing."""

import functools
import html
import re

TAG = re.compile(r"\\tag\{([^{}]*)\}")
BREAKS = frozenset("=≤≥<>≠≈∼∝∈→⟹⇒+−,")
VARIANT = "\N{VARIATION SELECTOR-1}"  # asks for chancery letters, which many fonts lack
LONG = 30  # characters of TeX above which a formula within a line may be too wide for a telephone


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
    """Three things that Chromium shows badly, written otherwise: primes, large brackets with an exponent, and braces below a formula."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(math.replace(VARIANT, ""), "html.parser")
    for prime in soup.find_all(
        "mo", string=re.compile("[′″]")
    ):  # fonts draw it raised already: as an exponent it is tiny and far off
        script, base = prime.parent, prime.parent.contents[0]
        prime.attrs |= {"lspace": "0", "rspace": "0"}
        if script.name == "msup":
            script.name = "mrow"
        elif script.name == "msubsup":
            script.name = "msub"
            base.wrap(soup.new_tag("mrow")).append(prime.extract())
    for bracket in soup.select(
        "msup > mo[minsize]:first-child, msubsup > mo[minsize]:first-child"
    ):  # it would not grow
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
    r"""A formula on a line of its own, with its label at the right where the TeX has a `\tag`.

    Formula: any. Returns a string of HTML. Raises ValueError for TeX that is not understood. Source:
    https://www.w3.org/TR/mathml-core (what browsers show).
    """
    label = TAG.search(tex)
    math = _mathml(TAG.sub("", tex), True)
    reach = ' tabindex="0"' if len(tex) > LONG else ""  # what may need scrolling must be reached by keyboard
    tag = f'<span class="tag">({html.escape(label[1])})</span>' if label else ""
    return f'<span class="formula"><span class="wide"{reach}>{math}</span>{tag}</span>'


def inline(tex):
    """A formula within a line; a long one may break after a relation, a plus or a comma, as in TeX.

    Formula: any. Returns a string of HTML.
    """
    math = _mathml(tex, False)
    return "<wbr>".join(_pieces(math)) if len(tex) > LONG else math


def characters(pages):
    """All characters that the formulas of some pages show.

    Returns a set of characters.
    """
    found = "".join("".join(re.findall(r"<math.*?</math>", page, re.DOTALL)) for page in pages)
    return set(html.unescape(re.sub(r"<[^>]*>", "", found)))


def _pieces(math):
    """Cut MathML behind the operators at its top level; one at an end keeps the spaces that it has between two things."""
    from bs4 import BeautifulSoup

    pieces = [""]
    for child in list(BeautifulSoup(math, "html.parser").math.contents):
        broken = (
            child.name == "mo" and child.get_text() in BREAKS and "lspace" not in child.attrs
        )  # a sign has no space, and no break
        if broken:
            child["form"] = "infix"
        pieces[-1] += str(child)
        if broken:
            pieces.append("")
    return [f"<math>{piece}</math>" for piece in pieces if piece]
