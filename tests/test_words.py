"""The word embeddings: the files agree with each other, and the ideas the lessons build on them hold."""

import csv

import numpy as np
import pytest

from emo_teach import files, worked
from emo_teach.authoring import words_data
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


def mean_within(matrix):
    """Mean over the pairs of different words."""
    return matrix[~np.eye(len(matrix), dtype=bool)].mean()


def test_shapes_and_values(words):
    n = len(words.words)
    assert 1400 <= n <= 1600
    assert words.embedding.shape == (n, 576) and words.embedding.dtype == np.float64
    assert len(words.token_ids) == n
    assert np.isfinite(words.embedding).all()
    assert np.linalg.norm(words.embedding, axis=1).min() > 0.1


def test_words_tokens_and_directions_are_unique(words, cosines):
    assert len(set(words.words)) == len(words.words)
    assert len(set(words.token_ids)) == len(words.token_ids)
    assert all(0 <= token < 49152 for token in words.token_ids)
    assert (cosines - 2 * np.eye(len(cosines))).max() < 0.99


def test_data_is_small():
    folder = data_path("words.csv").parent
    texts = ("README.md", "word_list.txt", "relation_list.txt", "cost_explorer_words.txt")
    ours = (*texts, "words.safetensors", "words.csv", "relations.csv")
    assert sum((folder / name).stat().st_size for name in ours) <= LIMIT_BYTES
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LIMIT_BYTES


def test_categories_are_filled_and_cover_all_words(words):
    known = set(words.words)
    for name, members in words.categories.items():
        assert members, name
        assert len(set(members)) == len(members), name
        assert set(members) <= known, name
    assert set().union(*words.categories.values()) == known


def test_relations_hold_known_words(words):
    known = set(words.words)
    assert set(words.relations) == set(words_data.KINDS)
    for kind, pairs in words.relations.items():
        assert len(pairs) >= 40, kind
        assert len({frozenset(pair) for pair in pairs}) == len(pairs), kind
        assert all(a != b and {a, b} <= known for a, b in pairs), kind


def test_lists_and_tables_agree(words):
    categories = words_data.parse_word_list(data_path("word_list.txt").read_text(encoding="utf-8"))
    assert tuple(categories) == words.words
    with open(data_path("words.csv"), newline="", encoding="utf-8") as file:
        table = {row["word"]: tuple(row["categories"].split()) for row in csv.DictReader(file)}
    assert table == categories
    listed = words_data.parse_relation_list(data_path("relation_list.txt").read_text(encoding="utf-8"), categories)
    assert listed == [(kind, a, b) for kind, pairs in words.relations.items() for a, b in pairs]


def test_worked_example_is_there(words):
    assert words.words[:2] == ("Monday", "Tuesday")
    assert "banana" in words.category("fruit")


def test_monday_is_nearer_to_tuesday_than_to_banana(words, cosines):
    tuesday, banana = block(words, cosines, ["Monday"], ["Tuesday", "banana"])[0]
    assert tuesday > banana + 0.2


def test_days_are_nearer_to_each_other_than_to_fruit(words, cosines):
    days, fruit = words.category("days"), words.category("fruit")
    across = block(words, cosines, days, fruit).mean()
    assert mean_within(block(words, cosines, days, days)) > across + 0.2
    assert mean_within(block(words, cosines, fruit, fruit)) > across


@pytest.mark.parametrize("kind", words_data.KINDS)
def test_related_words_are_nearer_than_random_pairs(words, cosines, kind):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(words.words), (2, 5000))
    random = cosines[first, second][first != second]
    related = np.array([cosines[words.index(a), words.index(b)] for a, b in words.relations[kind]])
    assert related.mean() > random.mean() + 0.15


def test_antonyms_are_near_too(words, cosines):
    # What a cosine cost cannot see: opposites live in the same contexts. "unhappy" is nearer to "happy" than "glad" is.
    unhappy, glad = block(words, cosines, ["happy"], ["unhappy", "glad"])[0]
    assert unhappy > glad


def test_cosines_can_be_negative(cosines):
    assert cosines.min() < -0.1


def test_rows_follow_the_order_asked_for(words):
    rows = words.rows(["banana", "Monday"])
    assert rows.shape == (2, 576)
    np.testing.assert_array_equal(rows[1], words.embedding[words.index("Monday")])
    np.testing.assert_array_equal(rows[0], words.embedding[words.index("banana")])
    assert words.rows([]).shape == (0, 576)


@pytest.mark.parametrize("upto", ["10", 1, None, ["01"]])
def test_worked_example_refuses_other_lessons(upto):
    with pytest.raises(ValueError, match=r"upto = .* must be one of 01, 02"):
        worked.table(upto)


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


@pytest.mark.parametrize("k", [0, -1, 1.5, True, 10**6])
def test_nearest_refuses_a_bad_k(words, k):
    with pytest.raises(ValueError, match="k"):
        words.nearest("Monday", k)


def test_unknown_names_come_with_a_suggestion(words):
    with pytest.raises(ValueError, match="unknown word 'bananna'; did you mean 'banana'"):
        words.index("bananna")
    with pytest.raises(ValueError, match="unknown category 'day'; did you mean 'days'"):
        words.category("day")
    with pytest.raises(ValueError, match="unknown word 'qqqq'$"):
        words.nearest("qqqq")
    with pytest.raises(ValueError, match="unknown word 3"):
        words.rows(["Monday", 3])


@pytest.mark.parametrize(("given", "shown"), [(None, "got None"), (5, "got 5"), ("Monday", "did you mean .'Monday'.")])
def test_rows_refuse_what_is_no_list(words, given, shown):
    with pytest.raises(ValueError, match=f"list of words, .*{shown}"):
        words.rows(given)


def test_data_path_names_what_there_is():
    with pytest.raises(ValueError, match=r"no data file 'word.csv'; data/ has .*relations.csv.*words.csv"):
        data_path("word.csv")
    with pytest.raises(ValueError, match="no data file"):
        data_path("../pyproject.toml")
    with pytest.raises(ValueError, match=r"no data file \['words.csv'\]"):
        data_path(["words.csv"])


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
            words_data.parse_relation_list(text, ["a", "b"])
        else:
            words_data.parse_word_list(text)


def write_gguf(path, tensor_names=("token_embd.weight",), scale=1.0):
    """Write a model of five tokens and two dimensions."""
    gguf = pytest.importorskip("gguf")
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
    sizes = words_data.build(gguf_path, first, *lists)
    words_data.build(gguf_path, second, *lists)
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
            words_data.build(path, out, text, "")
    assert not out.exists()
