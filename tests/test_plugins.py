from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs import plugins
from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext, make_encoder
from dibs.encoders.embed import embed
from dibs.errors import DibsError, InputError, MissingError
from tests.toys import ROOT

TOY = '''
import numpy as np
from dibs.encoders.base import EncodedBatch, Encoder


class Letters(Encoder):
    """A text's vector counts its letters a to d."""

    def __init__(self, card, context):
        self.name, self.dimension, self.max_tokens = card.name, 4, None

    def settings(self, role):
        return {"adapter": "letters", "role": role}

    def stream(self, texts, role):
        counts = [[text.count(letter) for letter in "abcd"] for text in texts]
        yield EncodedBatch(np.arange(len(texts)), np.array(counts, dtype=np.float32))
'''


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    plugins._registered.cache_clear()
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("dibs_toy"):
            del sys.modules[name]
    plugins._registered.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are found in, as site-packages is."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def install(site: Path, name: str, entries: str | bytes, module: str | None = None) -> None:
    """What pip leaves behind of a distribution: its module and its metadata."""
    if module is not None:
        (site / f"{name}.py").write_text(module)
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    content = f"[{plugins.GROUP}]\n{entries}\n".encode() if isinstance(entries, str) else entries
    (about / "entry_points.txt").write_bytes(content)


def card(adapter: str, **values: str) -> ModelCard:
    return ModelCard.model_validate({"name": "toy", "adapter": adapter} | values)


def test_what_is_shipped_is_registered_through_the_same_door() -> None:
    assert {"beir", "financebench", "hub"} <= set(plugins.names("source"))
    assert {"onnx", "openai", "sentence-transformers", "voyage"} <= set(plugins.names("encoder"))
    assert plugins.names("retriever") == ["bm25"]
    assert plugins.names("no such kind") == []


def test_a_package_brings_an_encoder(site: Path, tmp_path: Path) -> None:
    install(site, "dibs_toy", "encoder.letters = dibs_toy:Letters", TOY)
    assert "letters" in plugins.names("encoder")
    assert "dibs_toy" not in sys.modules  # finding a plugin imports nothing
    encoder = make_encoder(card("letters"), EncoderContext(cache=tmp_path / "cache"))
    texts = ["abba", "dada", "abba"]
    found = embed(encoder, "document", texts, len(texts), tmp_path / "vectors")
    assert found.vectors().tolist() == [[2, 2, 0, 0], [2, 0, 0, 2], [2, 2, 0, 0]]
    assert found.encoded == 2
    assert embed(encoder, "document", texts, len(texts), tmp_path / "vectors").encoded == 0


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        plugins.load("encoder", "voyge")
    assert caught.value.problem == "no encoder is called 'voyge'"
    assert caught.value.todo == "Did you mean voyage?"


@pytest.mark.parametrize(
    ("module", "value", "cause"),
    [
        ("raise RuntimeError('boom')", "dibs_toy:Letters", "boom"),
        ("x = 1", "dibs_toy:Letters", "Letters"),
        ("def f(:", "dibs_toy:f", "SyntaxError"),
        ("x = 1", "!!", "encoder.bad (!!)"),
    ],
)
def test_a_broken_plugin_is_named_when_it_is_used(site: Path, module: str, value: str, cause: str) -> None:
    install(site, "dibs_toy", f"encoder.bad = {value}", module)
    assert {"bad", "openai"} <= set(plugins.names("encoder"))
    with pytest.raises(DibsError) as caught:
        plugins.load("encoder", "bad")
    assert caught.value.exit_code == 1
    assert "plugin encoder.bad" in caught.value.problem
    assert cause in caught.value.problem
    assert plugins.load("source", "beir").__module__ == "dibs.data.sources.beir"


def test_the_error_of_a_plugin_that_speaks_our_language_is_kept(site: Path) -> None:
    install(
        site,
        "dibs_toy",
        "encoder.strict = dibs_toy:x",
        "from dibs.errors import MissingError\nraise MissingError('no key', todo='Set KEY.')",
    )
    with pytest.raises(MissingError, match=r"^no key\n  Set KEY\.$"):
        plugins.load("encoder", "strict")


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("import dibs_toy_absent", "dibs_toy_absent"),
        ("import dibs_toy_absent.part", "dibs_toy_absent"),
        ("raise ModuleNotFoundError('dibs_toy_absent')", "dibs_toy_absent"),
    ],
)
def test_a_plugin_that_lacks_a_package_says_which(
    site: Path, tmp_path: Path, module: str, package: str
) -> None:
    install(site, "dibs_toy", "encoder.needy = dibs_toy:Letters", module)
    with pytest.raises(MissingError) as caught:
        plugins.load("encoder", "needy")
    assert caught.value.problem == f"encoder 'needy' needs the package {package!r}"
    assert caught.value.todo == f"Run: pip install {package}"
    with pytest.raises(MissingError) as caught:
        make_encoder(card("needy", requires="extra"), EncoderContext(cache=tmp_path))
    assert caught.value.where == "toy"
    assert caught.value.todo == 'Run: pip install "dibs[extra]"'


def test_a_name_that_is_taken_is_refused_with_a_warning(site: Path) -> None:
    install(site, "dibs_toy_one", "encoder.letters = dibs_toy_one:Letters", TOY)
    install(site, "dibs_toy_two", "encoder.letters = dibs_toy_two:Letters", TOY)
    with pytest.warns(UserWarning, match=r"plugin encoder\.letters = dibs_toy_.* is ignored") as caught:
        assert "letters" in plugins.names("encoder")
    assert len(caught) == 1
    kept = plugins.load("encoder", "letters").__module__
    assert f"{kept}:Letters has that name" in str(caught[0].message)


def test_the_same_registration_found_twice_is_no_conflict(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "dibs_toy", "encoder.letters = dibs_toy:Letters", TOY)
    other = tmp_path / "other"
    other.mkdir()
    install(other, "dibs_toy_again", "encoder.letters = dibs_toy:Letters")
    monkeypatch.syspath_prepend(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "letters" in plugins.names("encoder")


@pytest.mark.parametrize("entries", ["encoder.x\n", b"[dibs.plugins]\nencoder.\xff = a:b\n"])
def test_malformed_metadata_is_named_and_hides_no_other_plugin(site: Path, entries: str | bytes) -> None:
    install(site, "dibs_toy_broken", entries)
    install(site, "dibs_toy", "encoder.letters = dibs_toy:Letters", TOY)
    with pytest.warns(UserWarning, match="the plugins of dibs_toy_broken are ignored"):
        assert {"letters", "openai"} <= set(plugins.names("encoder"))


def test_a_broken_plugin_does_not_break_help(site: Path) -> None:
    install(site, "dibs_toy", "encoder.bad = dibs_toy:Letters", "raise RuntimeError('boom')")
    program = f"import sys; sys.path.insert(0, {str(site)!r}); from dibs.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
