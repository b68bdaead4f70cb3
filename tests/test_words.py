"""The word embeddings: the files agree with each other, and the ideas the lessons build on them hold."""

import csv
from importlib.util import find_spec

import numpy as np
import pytest

from emo_teach import files, worked
from emo_teach.authoring import data_files
from emo_teach.files import data_path
from emo_teach.words import load_words

LIMIT_BYTES = 3_000_000


@pytest.fixture(scope="module")
def words():
    return load_words()


@pytest.fixture(scope="module")
def cosines(words):
    directions = words.embedding / np.linalg.norm(words.embedding, axis=1, keepdims=True)
    return directions @ directions.T


def block(words, cosines, first, second):
    """Cosines between the words of two lists."""
    return cosines[np.ix_([words.index(w) for w in first], [words.index(w) for w in second])]


def test_shapes_and_values(words, cosines):
    n = len(words.words)
    assert 1400 <= n <= 1600
    assert words.embedding.shape == (n, 576) and words.embedding.dtype == np.float64
    assert np.isfinite(words.embedding).all() and np.linalg.norm(words.embedding, axis=1).min() > 0.1
    assert len(set(words.words)) == len(words.token_ids) == len(set(words.token_ids)) == n
    assert all(0 <= token < 49152 for token in words.token_ids)
    assert (cosines - 2 * np.eye(n)).max() < 0.99  # no two words share a direction


def test_data_is_small():
    folder = data_path("words.csv").parent
    texts = ("README.md", "word_list.txt", "relation_list.txt", "cost_explorer_words.txt")
    ours = (*texts, "words.safetensors", "words.csv", "relations.csv")
    assert sum((folder / name).stat().st_size for name in ours) <= LIMIT_BYTES
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LIMIT_BYTES


def test_categories_are_filled_and_cover_all_words(words):
    known = set(words.words)
    for name, members in words.categories.items():
        assert 0 < len(members) == len(set(members)) and set(members) <= known, name
    assert set().union(*words.categories.values()) == known


def test_relations_hold_known_words(words):
    known = set(words.words)
    assert set(words.relations) == set(data_files.KINDS)
    for kind, pairs in words.relations.items():
        assert len(pairs) >= 40, kind
        assert len({frozenset(pair) for pair in pairs}) == len(pairs), kind
        assert all(a != b and {a, b} <= known for a, b in pairs), kind


def test_lists_and_tables_agree(words):
    categories = data_files.parse_word_list(data_path("word_list.txt").read_text(encoding="utf-8"))
    assert tuple(categories) == words.words
    with open(data_path("words.csv"), newline="", encoding="utf-8") as file:
        table = {row["word"]: tuple(row["categories"].split()) for row in csv.DictReader(file)}
    assert table == categories
    listed = data_files.parse_relation_list(data_path("relation_list.txt").read_text(encoding="utf-8"), categories)
    assert listed == [(kind, a, b) for kind, pairs in words.relations.items() for a, b in pairs]


def test_days_are_nearer_to_each_other_than_to_fruit(words, cosines):
    assert words.words[:2] == ("Monday", "Tuesday") and "banana" in words.category("fruit")
    tuesday, banana = block(words, cosines, ["Monday"], ["Tuesday", "banana"])[0]
    assert tuesday > banana + 0.2
    days, fruit = words.category("days"), words.category("fruit")
    across = block(words, cosines, days, fruit).mean()
    for members, lead in ((days, 0.2), (fruit, 0)):
        within = block(words, cosines, members, members)
        assert within[~np.eye(len(members), dtype=bool)].mean() > across + lead


@pytest.mark.parametrize("kind", data_files.KINDS)
def test_related_words_are_nearer_than_random_pairs(words, cosines, kind):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(words.words), (2, 5000))
    random = cosines[first, second][first != second]
    related = np.array([cosines[words.index(a), words.index(b)] for a, b in words.relations[kind]])
    assert related.mean() > random.mean() + 0.15


def test_antonyms_are_near_too_and_cosines_can_be_negative(words, cosines):
    # What a cosine cost cannot see: opposites live in the same contexts. "unhappy" is nearer to "happy" than "glad" is.
    unhappy, glad = block(words, cosines, ["happy"], ["unhappy", "glad"])[0]
    assert unhappy > glad and cosines.min() < -0.1


def test_rows_follow_the_order_asked_for(words):
    expected = words.embedding[[words.index("banana"), words.index("Monday")]]
    np.testing.assert_array_equal(words.rows(["banana", "Monday"]), expected)
    assert words.rows([]).shape == (0, 576)


def test_shared_data_cannot_be_changed(words):
    assert load_words() is words
    with pytest.raises(ValueError, match="read-only"):
        words.embedding[0, 0] = 1.0
    with pytest.raises(TypeError):
        words.categories["days"] = ()
    words.rows(["Monday"])[0, 0] = 99.0
    assert words.embedding[words.index("Monday"), 0] != 99.0


def test_nearest(words, cosines):
    found = words.nearest("Monday", 6)
    assert {word for word, _ in found} == set(words.category("days")) - {"Monday"}
    values = [cosine for _, cosine in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(cosines[words.index("Monday"), words.index(found[0][0])], abs=1e-12)
    assert len(words.nearest("Monday", len(words.words) - 1)) == len(words.words) - 1


BAD_CALLS = [
    *((lambda words, k=k: words.nearest("Monday", k), "k") for k in (0, -1, 1.5, True, 10**6)),
    *(
        (lambda words, upto=upto: worked.table(upto), r"upto = .* must be one of 01, 02")
        for upto in ("10", 1, None, ["01"])
    ),
    (lambda words: data_path("word.csv"), r"no data file 'word.csv'; data/ has .*relations.csv.*words.csv"),
    (lambda words: data_path("../pyproject.toml"), "no data file"),
    (lambda words: data_path(["words.csv"]), r"no data file \['words.csv'\]"),
    (lambda words: words.index("bananna"), "unknown word 'bananna'; did you mean 'banana'"),
    (lambda words: words.category("day"), "unknown category 'day'; did you mean 'days'"),
    (lambda words: words.nearest("qqqq"), "unknown word 'qqqq'$"),
    (lambda words: words.rows(["Monday", 3]), "unknown word 3"),
    (lambda words: words.rows(None), "list of words, got None"),
    (lambda words: words.rows(5), "list of words, got 5"),
    (lambda words: words.rows("Monday"), "list of words, .*did you mean .'Monday'."),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
def test_bad_calls_are_refused_in_words(words, call, message):
    with pytest.raises(ValueError, match=message):
        call(words)


def test_data_path_in_a_wheel_and_without_data(tmp_path, monkeypatch):
    package = tmp_path / "emo_teach"
    package.mkdir()
    monkeypatch.setattr(files, "_PACKAGE", package)
    with pytest.raises(ValueError, match="no data folder"):
        data_path("words.csv")
    for folder in (tmp_path / "data", package / "data"):
        folder.mkdir()
        (folder / "word_list.txt").write_text("fruit: banana\n")
        assert data_path("word_list.txt") == folder / "word_list.txt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fruit apple", "line 1"),
        ("# note\n\nfruit:", "line 3"),
        ("two words: apple", "line 1"),
        ("fruit: apple pear2", "'pear2' is not made of plain letters"),
        ("fruit: apple\nfruit: apple", "line 2: 'apple' stands twice"),
        ("cousin: a/b", "unknown kind 'cousin'"),
        ("synonym: a", "second word"),
        ("synonym: a/c", "'c' is not in the word list"),
        ("synonym: a/b\nsynonym: b/a", "line 2: the synonym b/a stands twice"),
        ("synonym: a/b a/b", "stands twice"),
        ("case: a/b", "more than its case"),
        ("synonym: a/a", "with itself"),
    ],
)
def test_errors_in_the_lists_of_words_and_relations(text, message):
    with pytest.raises(ValueError, match=message):
        if "/" in text or text == "synonym: a":
            data_files.parse_relation_list(text, ["a", "b"])
        else:
            data_files.parse_word_list(text)


def write_gguf(path, tensor_names=("token_embd.weight",), scale=1.0):
    """Write a model of five tokens and two dimensions."""
    if find_spec("gguf") is None:  # as on Colab; one that is there but cannot be imported is a failure
        pytest.skip("gguf is not installed")
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list(["day", "\u0120day", "\u0120Day", "\u0120night", "\u0120moon"])
    for name in tensor_names:
        writer.add_tensor(name, np.float32(scale) * np.arange(10, dtype=np.float32).reshape(5, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_build_twice_gives_the_same_bytes(tmp_path):
    gguf_path = write_gguf(tmp_path / "model.gguf")
    lists = ("time: night day\nsky: moon Day day", "antonym: day/night\ncase: day/Day")
    first, second = tmp_path / "first", tmp_path / "second"
    sizes = data_files.build_words(gguf_path, first, *lists)
    data_files.build_words(gguf_path, second, *lists)
    assert sizes == {path.name: path.stat().st_size for path in first.iterdir()}
    assert all((second / name).read_bytes() == (first / name).read_bytes() for name in sizes)
    table = b"word,token_id,categories\nnight,3,time\nday,1,time sky\nmoon,4,sky\nDay,2,sky\n"
    assert (first / "words.csv").read_bytes() == table
    assert (first / "relations.csv").read_bytes() == b"kind,a,b\nantonym,day,night\ncase,day,Day\n"
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(first / "words.safetensors")["embedding"], [[6, 7], [2, 3], [8, 9], [4, 5]])


def test_build_refuses_and_writes_nothing(tmp_path):
    good = write_gguf(tmp_path / "good.gguf")
    own_head = write_gguf(tmp_path / "head.gguf", ("token_embd.weight", "output.weight"))
    no_embedding = write_gguf(tmp_path / "none.gguf", ("other.weight",))
    huge = write_gguf(tmp_path / "huge.gguf", scale=3e4)
    (tmp_path / "text.gguf").write_text("this is not a model at all, only a line of text")
    out = tmp_path / "out"
    for path, text, message in [
        (good, "time: day noon dusk", "not a single token.*noon, dusk"),
        (own_head, "time: day", "head is not tied"),
        (huge, "time: day", r"embedding in float16\[0, 1\] = inf"),
        (no_embedding, "time: day", "lacks token_embd.weight"),
        (tmp_path / "absent.gguf", "time: day", "no GGUF file"),
        (tmp_path / "text.gguf", "time: day", "GGUF"),
    ]:
        with pytest.raises(ValueError, match=message):
            data_files.build_words(path, out, text, "")
    assert not out.exists()
