"""`plumbline tag`: from nothing to tags, and what it refuses."""

import lzma

import pytest

from pipeline.cli.main import main

TREEBANK = "".join(
    "\n".join("\t".join([str(n), word, "_", tag] + ["_"] * 6) for n, (word, tag) in enumerate(pairs, 1)) + "\n\n"
    for pairs in [[("a", "A"), ("b", "B"), ("c", "C")], [("b", "B"), ("a", "A")]] * 15
)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """A tagger of the tutorial's two sentences."""
    folder = tmp_path_factory.mktemp("tag") / "tutorial"
    assert main(["tag", "train", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def treebank(tmp_path):
    file = tmp_path / "small.conllu.xz"
    file.write_bytes(lzma.compress(TREEBANK.encode()))
    return file


def test_without_data_the_tutorials_sentences_are_learnt_exactly(tutorial, capsys):
    assert main(["tag", "predict", "--bundle", str(tutorial), "--text", "The dog ate the apple"]) == 0
    assert main(["tag", "predict", str(tutorial), "--text", "Everybody", "read", "that", "book"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "The/DET dog/NN ate/V the/DET apple/NN",
        "Everybody/NN read/V that/DET book/NN",
    ]


def test_a_treebank_is_learnt_and_its_accuracy_told(treebank, tmp_path, capsys):
    plain = tmp_path / "plain.conllu"
    plain.write_text(TREEBANK)
    out = tmp_path / "tagger"
    assert main(["tag", "train", "--data", str(treebank), str(plain), "--out", str(out)]) == 0
    assert "3 words, 3 tags; accuracy 100.00% of 12 words" in capsys.readouterr().out
    assert main(["tag", "train", "--data", str(plain), "--dev", str(treebank), "--out", str(out)]) == 0  # in its place
    assert "accuracy 100.00% of 75 words" in capsys.readouterr().out
    assert main(["tag", "predict", str(out), "--data", str(treebank)]) == 0
    shown = capsys.readouterr()

    assert shown.out.splitlines() == ["a/A b/B c/C", "b/B a/A"] * 15
    assert shown.err.endswith("accuracy 100.00% of 75 words\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plain.conllu", "small.conllu.xz", "tagger"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--out", "OUT", "--dev", "BANK"], "there is no --data"),
        (["train", "--out", "OUT", "--data", "BANK", "--epochs", "0"], "--epochs is 0"),
        (["train", "--out", "FOLDER"], "choose another folder for --out"),
        (["train", "--out", "OUT", "--data", "absent.conllu"], "absent.conllu cannot be read"),
        (["train", "--out", "OUT", "--data", "TEXT"], "text.conllu, line 1: 1 columns"),
        (["train", "--out", "OUT", "--data", "EMPTY"], "empty.conllu holds no sentence"),
        (["train", "--out", "OUT", "--data", "NOXZ"], "no.conllu.xz cannot be read as CoNLL-U"),
        (["train", "--out", "OUT", "--data", "LATIN"], "latin.conllu cannot be read as CoNLL-U in UTF-8"),
        (["train", "--out", "OUT", "--data", "UNTAGGED"], "no word of the 1 sentences to learn from has a tag"),
        (["predict", "TUTORIAL"], "either --text or --data"),
        (["predict", "TUTORIAL", "--text", "a", "--data", "BANK"], "either --text or --data"),
        (["predict", "TUTORIAL", "--text", " "], "there is no word in it"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_exit_code_2(words, message, tutorial, treebank, tmp_path, capsys):
    files = {
        "TEXT": ("text.conllu", b"The dog ate the apple\n"),
        "EMPTY": ("empty.conllu", b"# nothing\n\n"),
        "NOXZ": ("no.conllu.xz", b"plain"),
        "LATIN": ("latin.conllu", "1\tGeräusch\n".encode("latin-1")),
        "UNTAGGED": ("untagged.conllu", b"1\tw" + b"\t_" * 8 + b"\n"),
    }
    paths = {"BANK": treebank, "TUTORIAL": tutorial, "FOLDER": tmp_path, "OUT": tmp_path / "out"}
    for name, (file, content) in files.items():
        paths[name] = tmp_path / file
        paths[name].write_bytes(content)
    code = main(["tag", *(str(paths.get(word, word)) for word in words)])

    assert code == 2
    assert message in capsys.readouterr().err
    assert not paths["OUT"].exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "manifest.json"])
def test_a_truncated_tagger_is_refused_with_exit_code_1(name, tmp_path, capsys):
    out = tmp_path / "tagger"
    main(["tag", "train", "--out", str(out), "--epochs", "1"])
    content = (out / name).read_bytes()
    (out / name).write_bytes(content[:-10])
    code = main(["tag", "predict", str(out), "--text", "a"])

    assert code == 1
    assert "train the tagger again" in capsys.readouterr().err
    assert main(["tag", "predict", str(tmp_path), "--text", "a"]) == 1
