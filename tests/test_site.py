"""The static edition: whole, without a network, and (with -m browser) seen in a Chromium that has none."""

import json
import re
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from emo_teach.__main__ import main
from emo_teach.authoring import mathml, site
from tests import browser
from tests.lessons import SOURCES, built
from tests.test_browser import axe  # noqa: F401 (a fixture)

NAMES = ["index", *SOURCES]
FEW = ["00_start_here", "04_one_hot_closed_form"]
INLINE = re.compile(r"\$[^$]+\$")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an edition of all lessons, as the command makes it."""
    folder = tmp_path_factory.mktemp("site") / "edition"
    assert main(["site", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module", params=["few", pytest.param("whole", marks=pytest.mark.slow)])
def edition(request, tmp_path_factory):
    """An edition, read once: its folder, its lessons, its pages by name, and the cells of each lesson."""
    if request.param == "few":
        names, folder = FEW, tmp_path_factory.mktemp("few") / "edition"
        site.build_site(folder, names)
    else:
        names, folder = list(SOURCES), request.getfixturevalue("whole")
    soups = {name: BeautifulSoup((folder / f"{name}.html").read_bytes(), "html.parser") for name in ["index", *names]}
    return SimpleNamespace(folder=folder, names=names, soups=soups, cells={name: built(name).cells for name in names})


def test_the_folder_holds_pages_style_font_and_mark(edition):
    files = [*(f"{name}.html" for name in edition.soups), "style.css", "math.woff", "site.json"]
    assert sorted(path.name for path in edition.folder.iterdir()) == sorted(files)
    assert (edition.folder / "math.woff").read_bytes()[:4] == b"wOFF"
    assert oct(edition.folder.stat().st_mode)[-3:] == "755"
    style = (edition.folder / "style.css").read_text(encoding="utf-8")
    assert re.findall(r"url\(([^)]*)\)", style) == ['"math.woff"'] and "@import" not in style and "http" not in style


def test_nothing_is_fetched(edition):
    for name, soup in edition.soups.items():
        fetched = "script, iframe, object, embed, audio, video, form, base, style, meta[http-equiv]"
        assert not soup.select(f"{fetched}, [srcset], [background], [poster], [onload], [onerror], [onclick]"), name
        assert [link["href"] for link in soup.select("link")] == ["style.css"], name
        assert all(image["src"].startswith("data:image/png;base64,") for image in soup.select("img")), name
        assert not re.search(r"url\(", " ".join(element["style"] for element in soup.select("[style]"))), name


def test_every_formula_is_converted(edition):
    for name in edition.names:
        soup, texts = edition.soups[name], [one.source for one in edition.cells[name] if one.cell_type == "markdown"]
        text = CODE.sub("", "\n\n".join(texts))
        blocks, labels = text.count("$$") // 2, re.findall(r"\\tag\{(\w+)\}", text)
        assert len(soup.select(".formula > .wide > math[display=block]")) == blocks, name
        pieces = len(re.findall(r'<wbr/?>(?:<span class="kept">)?<math', str(soup.main)))
        inline = INLINE.findall(re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL))
        outputs = [output for cell in edition.cells[name] for output in cell.get("outputs", ())]
        tables = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
        inline += [td for td in BeautifulSoup(tables, "html.parser").find_all("td") if INLINE.fullmatch(td.get_text())]
        assert len(soup.select("math")) - blocks - pieces == len(inline), name
        assert [tag.get_text() for tag in soup.select(".formula .tag")] == [f"({label})" for label in labels], name
        shown = "".join(one for one in soup.find_all(string=True) if not one.find_parent(["pre", "code"]))
        assert not re.search(r"\$|\\[a-zA-Z]", shown) and not soup.select("merror"), name


def test_links_lead_to_pages_and_places(edition):
    ids = {name: [element["id"] for element in soup.select("[id]")] for name, soup in edition.soups.items()}
    for name, soup in edition.soups.items():
        links = [link["href"] for link in soup.select("a[href]") if not link["href"].startswith("https://")]
        assert len(links) > 5, name
        for link in links:
            page, _, place = link.partition("#")
            page = page.removesuffix(".html") or name
            assert page in NAMES, (name, link)
            assert not place or page not in ids or ids[page].count(unquote(place)) == 1, (name, link)


def test_cells_pictures_and_words_are_all_there(edition):
    for name in edition.names:
        soup, code = edition.soups[name], [one for one in edition.cells[name] if one.cell_type == "code"]
        code = [cell for cell in code if "bootstrap" not in cell.metadata.get("tags", ())]
        shown = [element.get_text().strip() for element in soup.select(".input pre")]
        assert shown == [cell.source.strip() for cell in code], name
        outputs = [output for cell in code for output in cell.outputs]
        pictures = sum(output.get("data", {}).get("text/html", "").count("<img ") for output in outputs)
        assert len(soup.select("img")) == pictures, name
        assert all(len(image["alt"]) > 40 for image in soup.select("img")), name
        assert len(soup.select(".note")) == sum(".explorer(" in cell.source for cell in code), name
        printed = [output.text.strip() for output in outputs if output.output_type == "stream"]
        assert [element.get_text().strip() for element in soup.select(".output_stream pre")] == printed, name
        assert "ModuleNotFoundError" not in soup.get_text(), "the bootstrap cell stays away"


def test_the_first_page_has_the_map_and_every_lesson(edition):
    index = edition.soups["index"]
    headings = [heading.get_text() for heading in index.select("h1, h2, h3")]
    assert headings[1:3] == ["The map", "The lessons"] and len(headings) == 3 + len(edition.names)
    assert len(index.select("table tr")) == 10
    assert {link["href"] for link in index.select("h3 a")} == {f"{name}.html" for name in edition.names}


def test_markdown_loses_pictures_from_elsewhere_and_keeps_environments_of_tex():
    link = "https://colab.research.google.com/github/o/n/blob/v1/x.ipynb"
    mark = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})"
    assert site._markdown(mark) == f'<p><a href="{link}">Open in Colab</a></p>\n'
    page = BeautifulSoup(site._markdown("\\begin{align*}a&=b\\end{align*}"), "html.parser")
    assert page.select_one(".formula math[display=block]").get_text() == "a=b"


def test_a_formula_in_a_printed_table_is_converted():
    cells = "<td>$a &lt; b_1$</td><td>for $c$ &amp; <code>$d</code>$</td><td>5 $</td>"
    page = BeautifulSoup(site._finish(f"<p>$e$</p><table><tr>{cells}</tr></table>"), "html.parser")
    assert [math.get_text() for math in page.select("td math")] == ["a<b1", "c"]
    assert [td.get_text() for td in page.select("td")] == ["a<b1", "for c & $d$", "5 $"]
    assert page.p.get_text() == "$e$", "what is no table stays"


def test_tex_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"formula .*nosuch"):
        mathml.inline(r"\nosuch{x}")
    with pytest.raises(ValueError, match=r"U\+4E2D"):
        mathml.font({"x", "中"})


def test_what_chromium_shows_badly_is_written_otherwise():
    assert "<msup>" not in mathml.inline("f'(u)") and "<mrow><mi>f</mi>" in mathml.inline("f'(u)")
    indexed = BeautifulSoup(mathml.inline("f_1'"), "html.parser")
    assert not indexed.select("msubsup") and indexed.select_one("msub").contents[0].get_text() == "f′"
    below = BeautifulSoup(mathml.block(r"\underbrace{a+b}_{c}"), "html.parser")
    assert below.select_one("mrow.underlined").get_text() == "a+b" and "⏟" not in below.get_text()
    closing = BeautifulSoup(mathml.block(r"\Big(\sum_i x\Big)^2"), "html.parser")
    assert [mo.parent.name for mo in closing.select("mo[minsize]")] == ["math", "math"]
    assert closing.select_one("msup").contents[0].name == "mspace" and closing.select_one("msup").get_text() == "2"


def test_a_long_formula_may_break_but_not_behind_a_sign():
    cut = mathml.inline(r"\nabla M=\big((-0.5,0.3,0.2)+2.67\,(-0.13,-0.018,0.148)\big)\approx(-0.42,0.13,0.30)")
    cut = cut.split("<wbr>")
    assert len(cut) > 3 and all(piece.startswith("<math>") and piece.endswith("</math>") for piece in cut)
    assert not any(piece.endswith("−</mo></math>") for piece in cut)


def test_an_earlier_edition_is_replaced_whole_or_stays(tmp_path, monkeypatch):
    out = tmp_path / "edition"
    site.build_site(out, FEW[:1])
    (out / "old.html").write_text("of an earlier edition")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="no such formula"):
        patch.setattr(site, "_contents", lambda *_: (_ for _ in ()).throw(ValueError("no such formula")))
        site.build_site(out, FEW[:1])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    site.build_site(out, FEW[:1])
    assert {path.name for path in out.iterdir()} == set(before) - {"old.html"}
    assert [path.name for path in tmp_path.iterdir()] == ["edition"], "nothing is left beside it"


def test_a_folder_of_someone_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ValueError, match="was not made by emo_teach site"):
        site.build_site(tmp_path)
    (tmp_path / "site.json").write_text(json.dumps({"made_by": "another program"}))
    assert main(["site", "--out", str(tmp_path)]) == 2 and capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "thesis.txt").read_text() == "three years"


# in Chromium

LOOK = """() => {
    const box = e => e.getBoundingClientRect();
    const size = e => parseFloat(e.getAttribute('minsize')) * parseFloat(getComputedStyle(e).fontSize);
    const grown = e => box(e).height >= 0.9 * size(e);
    const text = document.querySelector('main').cloneNode(true);
    text.querySelectorAll('pre, code').forEach(e => e.remove());
    const maths = [...document.querySelectorAll('math')].filter(e => !e.closest('details:not([open])'));
    return {
        maths: maths.length,
        flat: maths.filter(e => !(box(e).width > 0 && box(e).height > 0)).length,
        small: [...document.querySelectorAll('mo[minsize]')].filter(e => !grown(e)).length,
        dollars: text.textContent.includes('$'),
        blank: [...document.images].filter(e => !(e.complete && e.naturalWidth > 0)).length,
        over: document.documentElement.scrollWidth - innerWidth,
        fonts: [...document.fonts].map(f => f.status),
    };
}"""
AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))])"""


@pytest.fixture(scope="module")
def page():
    with browser.tab() as opened:
        opened.context.set_offline(True)
        opened.asked = []
        opened.on("request", lambda request: opened.asked.append(request.url.partition(":")[0]))
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_shown_whole_without_a_network(name, width, scheme, whole, page, axe):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="screen", color_scheme=scheme)
    page.goto((whole / f"{name}.html").as_uri())
    page.evaluate("() => document.fonts.ready")
    seen = page.evaluate(LOOK)
    assert seen["maths"] > 0 or name in ("index", "07_gpt2_finetune")
    assert seen["fonts"] == (["loaded"] if seen["maths"] else ["unloaded"])
    clean = {"flat": 0, "small": 0, "dollars": False, "blank": 0, "over": 0}
    assert {key: seen[key] for key in clean} == clean
    page.evaluate(axe)
    assert page.evaluate(AXE) == []
    assert set(page.asked) <= {"file", "data"}


@pytest.mark.browser
def test_one_can_walk_from_the_first_page_to_the_last(whole, page):
    page.goto((whole / "index.html").as_uri())
    for name in SOURCES:
        page.click("a[rel=next]")
        assert page.url.endswith(f"{name}.html") and page.locator("h1").count() == 1
        assert page.locator("header a[aria-current=page]").count() == 1
    assert page.locator("a[rel=next]").count() == 0
    page.click("a[rel=prev]")
    assert page.url.endswith(f"{NAMES[-2]}.html")


@pytest.mark.browser
def test_paper_gets_the_text_and_what_hints_hold(whole, page):
    page.goto((whole / "04_one_hot_closed_form.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("header") and page.is_visible("main")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    height = "d.getBoundingClientRect().height / d.firstElementChild.offsetHeight"
    heights = page.evaluate(f"() => [...document.querySelectorAll('details')].map(d => {height})")
    assert len(heights) >= 3 and min(heights) > 2, "a closed hint is as high as its title"
    assert page.pdf().startswith(b"%PDF")
