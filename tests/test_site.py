"""The static edition: whole, without a network, and (with -m browser) seen in a Chromium that has none."""

import json
import re
import shutil
import subprocess
import sys
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from emo_teach.authoring import browser, site
from emo_teach.authoring.site import font, mathml, pages
from tests.lessons import SOURCES, built
from tests.test_browser import axe  # noqa: F401 (a fixture)

NAMES = ["index", *SOURCES]
INLINE = re.compile(r"\$[^$]+\$")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The folder of one edition, as the command makes it."""
    folder = tmp_path_factory.mktemp("site") / "edition"
    assert site.main(folder) == 0
    return folder


@pytest.fixture(scope="module")
def soups(edition):
    return {
        name: BeautifulSoup((edition / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in NAMES
    }


def prose(name):
    """The Markdown of a lesson without its code."""
    return CODE.sub("", "\n\n".join(cell.source for cell in built(name).cells if cell.cell_type == "markdown"))


def test_the_folder_holds_pages_style_font_and_mark(edition):
    assert sorted(path.name for path in edition.iterdir()) == sorted(
        [*(f"{name}.html" for name in NAMES), "style.css", "math.woff", "site.json"]
    )
    assert (edition / "math.woff").read_bytes()[:4] == b"wOFF"
    assert oct(edition.stat().st_mode)[-3:] == "755"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched(name, soups):
    soup = soups[name]
    assert not soup.select("script, iframe, object, embed, audio, video, form, base, style, meta[http-equiv]")
    assert [link["href"] for link in soup.select("link")] == ["style.css"]
    assert all(image["src"].startswith("data:image/png;base64,") for image in soup.select("img"))
    assert not soup.select("[srcset], [background], [poster], [onload], [onerror], [onclick]")
    assert not re.search(r"url\(", " ".join(element["style"] for element in soup.select("[style]")))


def test_the_style_names_only_its_own_font(edition):
    style = (edition / "style.css").read_text(encoding="utf-8")
    assert re.findall(r"url\(([^)]*)\)", style) == ['"math.woff"'] and "@import" not in style and "http" not in style


@pytest.mark.parametrize("name", SOURCES)
def test_every_formula_is_converted(name, soups):
    text, page = prose(name), str(soups[name])
    blocks = text.count("$$") // 2
    assert len(soups[name].select(".formula > .wide > math[display=block]")) == blocks
    pieces = len(re.findall(r'<wbr/?>(?:<span class="kept">)?<math', page))
    assert len(soups[name].select("math")) - blocks - pieces == len(
        INLINE.findall(re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL))
    )
    assert [tag.get_text() for tag in soups[name].select(".formula .tag")] == [
        f"({label})" for label in re.findall(r"\\tag\{(\w+)\}", text)
    ]
    for code in soups[name].select("pre, code"):
        code.extract()
    assert not re.search(r"\$|\\[a-zA-Z]", soups[name].get_text())
    assert not soups[name].select("merror")
    soups[name].clear()
    soups[name].append(BeautifulSoup(page, "html.parser"))


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_pages_and_places(name, soups):
    links = [link["href"] for link in soups[name].select("a[href]")]
    assert len(links) > 10
    for link in links:
        if link.startswith("https://"):
            continue
        page, _, place = link.partition("#")
        assert not page or page.removesuffix(".html") in NAMES, link
        if place:
            assert len(soups[page.removesuffix(".html") or name].find_all(id=unquote(place))) == 1, link


@pytest.mark.parametrize("name", SOURCES)
def test_cells_pictures_and_words_are_all_there(name, soups):
    soup, cells = soups[name], [cell for cell in built(name).cells if "bootstrap" not in cell.metadata.get("tags", ())]
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [element.get_text().strip() for element in soup.select(".input pre")] == [
        cell.source.strip() for cell in code
    ]
    shown = [
        output.data["text/html"].count("<img ")
        for cell in code
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert len(soup.select("img")) == sum(shown)
    assert all(len(image["alt"]) > 40 for image in soup.select("img"))
    assert len(soup.select(".note")) == sum(".explorer(" in cell.source for cell in code)
    printed = [output.text.strip() for cell in code for output in cell.outputs if output.output_type == "stream"]
    page = [element.get_text().strip() for element in soup.select(".output_stream pre")]
    assert page == printed
    assert "ModuleNotFoundError" not in soup.get_text(), "the bootstrap cell stays away"


def test_the_first_page_has_the_map_and_every_lesson(soups):
    headings = [heading.get_text() for heading in soups["index"].select("h1, h2, h3")]
    assert headings[1:3] == ["The map", "The lessons"] and len(headings) == 3 + len(SOURCES)
    assert len(soups["index"].select("table tr")) == 10
    assert {link["href"] for link in soups["index"].select("h3 a")} == {f"{name}.html" for name in SOURCES}


def test_no_picture_from_elsewhere_gets_in():
    mark = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/o/n/blob/v1/x.ipynb)"
    assert (
        pages._markdown(mark)
        == '<p><a href="https://colab.research.google.com/github/o/n/blob/v1/x.ipynb">Open in Colab</a></p>\n'
    )


def test_tex_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"formula .*nosuch"):
        mathml.inline(r"\nosuch{x}")
    with pytest.raises(ValueError, match=r"U\+4E2D"):
        font.subset({"x", "中"})


def test_what_chromium_shows_badly_is_written_otherwise():
    assert "<msup>" not in mathml.inline("f'(u)") and "<mrow><mi>f</mi>" in mathml.inline("f'(u)")
    closing = BeautifulSoup(mathml.block(r"\Big(\sum_i x\Big)^2"), "html.parser")
    assert [mo.parent.name for mo in closing.select("mo[minsize]")] == ["math", "math"]
    assert closing.select_one("msup").contents[0].name == "mspace" and closing.select_one("msup").get_text() == "2"


def test_a_long_formula_may_break_but_not_behind_a_sign():
    cut = mathml.inline(r"\nabla M=\big((-0.5,0.3,0.2)+2.67\,(-0.13,-0.018,0.148)\big)\approx(-0.42,0.13,0.30)").split(
        "<wbr>"
    )
    assert len(cut) > 3 and all(piece.startswith("<math>") and piece.endswith("</math>") for piece in cut)
    assert not any(piece.endswith("−</mo></math>") for piece in cut)


def test_an_earlier_edition_is_replaced_whole(edition, tmp_path):
    shutil.copytree(edition, tmp_path / "edition")
    (tmp_path / "edition" / "old.html").write_text("of an earlier edition")
    site.build_site(tmp_path / "edition")
    assert not (tmp_path / "edition" / "old.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["edition"], "nothing is left beside it"


def test_a_folder_of_someone_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ValueError, match="was not made by emo_teach site"):
        site.build_site(tmp_path)
    (tmp_path / "site.json").write_text(json.dumps({"made_by": "another program"}))
    wrong = subprocess.run(
        [sys.executable, "-m", "emo_teach", "site", "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert (tmp_path / "thesis.txt").read_text() == "three years"


def test_an_edition_that_fails_leaves_the_old_one(edition, tmp_path, monkeypatch):
    shutil.copytree(edition, tmp_path / "edition")
    before = {path.name: path.read_bytes() for path in (tmp_path / "edition").iterdir()}

    def fails(*arguments):
        raise ValueError("no such formula")

    monkeypatch.setattr(pages, "_contents", fails)
    with pytest.raises(ValueError, match="no such formula"):
        site.build_site(tmp_path / "edition")
    assert {path.name: path.read_bytes() for path in (tmp_path / "edition").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["edition"]


# in Chromium

LOOK = """() => {
    const box = e => e.getBoundingClientRect();
    const grown = e => box(e).height >= 0.9 * parseFloat(e.getAttribute('minsize')) * parseFloat(getComputedStyle(e).fontSize);
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
def test_a_page_is_shown_whole_without_a_network(name, width, scheme, edition, page, axe):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="screen", color_scheme=scheme)
    page.goto((edition / f"{name}.html").as_uri())
    page.evaluate("() => document.fonts.ready")
    seen = page.evaluate(LOOK)
    assert seen["maths"] > 0 or name in ("index", "07_gpt2_finetune")
    assert seen["fonts"] == (["loaded"] if seen["maths"] else ["unloaded"])
    assert {key: seen[key] for key in ("flat", "small", "dollars", "blank", "over")} == {
        "flat": 0,
        "small": 0,
        "dollars": False,
        "blank": 0,
        "over": 0,
    }
    page.evaluate(axe)
    assert page.evaluate(AXE) == []
    assert set(page.asked) <= {"file", "data"}


@pytest.mark.browser
def test_one_can_walk_from_the_first_page_to_the_last(edition, page):
    page.goto((edition / "index.html").as_uri())
    for name in [*SOURCES]:
        page.click("a[rel=next]")
        assert page.url.endswith(f"{name}.html") and page.locator("h1").count() == 1
        assert page.locator("header a[aria-current=page]").count() == 1
    assert page.locator("a[rel=next]").count() == 0
    page.click("a[rel=prev]")
    assert page.url.endswith(f"{NAMES[-2]}.html")


@pytest.mark.browser
def test_paper_gets_the_text_and_what_hints_hold(edition, page):
    page.goto((edition / "04_one_hot_closed_form.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("header") and page.is_visible("main")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = page.evaluate(
        "() => [...document.querySelectorAll('details')].map(d => d.getBoundingClientRect().height / d.firstElementChild.offsetHeight)"
    )
    assert len(heights) >= 3 and min(heights) > 2, "a closed hint is as high as its title"
    assert page.pdf().startswith(b"%PDF")
