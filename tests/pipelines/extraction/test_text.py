"""The extractor of texts by itself: how it cuts, what it keeps, what it computes."""

import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from isthmus.errors import Invalid
from isthmus.pipelines.builtin.text import Text, text
from isthmus.pipelines.builtin.tokens import tokenizer
from isthmus.tests.pipelines.extraction import world

TITLES = [title for *_, title in world.items(200)[0]]
ROWS = [{"title": title} for title in TITLES]
JAPANESE = {
    "料理": [
        "簡単な朝食の作り方",
        "美味しい朝食を作る",
        "夕食を簡単に作る方法",
        "朝食と夕食の料理",
        "料理の作り方",
    ],
    "旅行": [
        "京都の寺を旅行する",
        "京都旅行の寺めぐり",
        "冬の京都と寺",
        "寺をめぐる旅行",
        "京都の冬の旅行",
    ],
    "野球": [
        "野球の試合に勝った",
        "昨日の野球の試合",
        "試合に勝つ投手",
        "野球の投手が勝つ",
        "投手と野球",
    ],
}


def nearest(extractor, texts, number):
    vectors = np.array(extractor.extract([{"title": each} for each in texts]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    close = vectors @ vectors[number]
    close[number] = -2
    return int(np.argmax(close))


def test_vectors_are_those_of_scikit_learns_own_weights():
    extractor = text(ROWS, dimensions=5, tokenizer="words")
    weighed = TfidfVectorizer(
        sublinear_tf=True, vocabulary=extractor.terms, token_pattern=r"\w+"
    ).fit_transform(TITLES)
    expected = weighed @ extractor.components
    assert extractor.extract(ROWS) == pytest.approx(expected, abs=1e-12)


def test_a_saved_extractor_computes_the_same_to_the_last_digit(tmp_path):
    extractor = text(ROWS, dimensions=6)
    extractor.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npy"}
    assert Text.load(tmp_path).extract(ROWS) == extractor.extract(ROWS)


def test_two_fits_on_the_same_texts_are_the_same():
    assert text(ROWS).extract(ROWS) == text(ROWS).extract(ROWS)


def test_japanese_words_bring_titles_on_one_subject_together():
    titles = [(subject, title) for subject, own in JAPANESE.items() for title in own]
    texts = [title for _, title in titles]
    extractor = text([{"title": title} for title in texts], dimensions=4, tokenizer="sudachi")
    right = [
        titles[nearest(extractor, texts, number)][0] == subject
        for number, (subject, _) in enumerate(titles)
    ]
    assert all(right)


def test_sudachi_takes_the_dictionarys_spelling_and_leaves_out_punctuation():
    assert list(tokenizer("sudachi")("「朝食」を作った。")) == ["朝食", "を", "作る", "た"]


def test_width_and_case_make_no_other_term():
    cut = tokenizer("words")
    assert list(cut("\uff21\uff22\uff23 def")) == list(cut("abc DEF")) == ["abc", "def"]


def test_an_empty_text_has_no_vector_and_one_of_unknown_terms_is_zero():
    extractor = text(ROWS, dimensions=3)
    assert extractor.extract([{"title": None}, {"title": " "}]) == [None, None]
    assert extractor.extract([{"title": "###"}]) == [[0.0, 0.0, 0.0]]


def test_a_tokenizer_that_is_not_there_is_refused():
    with pytest.raises(Invalid, match="no tokenizer mecab"):
        text(ROWS, tokenizer="mecab")


@pytest.mark.parametrize("between", ["。", ""])
def test_a_long_japanese_text_has_all_its_words(between):
    cut, sentence = tokenizer("sudachi"), "朝食を作った"
    many = 20_000
    words = list(cut(f"{sentence}{between}" * many))
    if between:
        assert words == list(cut(sentence)) * many
    else:  # a piece may end within a word
        assert words.count("朝食") > 0.99 * many


def test_a_text_without_characters_has_no_terms():
    assert [list(tokenizer(name)(" \n")) for name in ("characters", "words", "sudachi")] == [[]] * 3


def test_a_long_text_is_cut_in_little_memory():
    long = "".join(random.Random(1).choices("abcdefgh ", k=1_000_000))
    tracemalloc.start()
    terms = Counter(tokenizer("characters")(long))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert terms.total() > 2_900_000
    assert most < 40_000_000


@pytest.mark.filterwarnings("error")
def test_texts_that_are_all_alike_are_fitted(tmp_path):
    rows = [{"title": title} for title in ("roses soil", "Roses Soil", "ROSES  soil")]
    extractor = text(rows, dimensions=1, tokenizer="words")
    extractor.save(tmp_path)
    assert Text.load(tmp_path).extract(rows) == extractor.extract(rows)
