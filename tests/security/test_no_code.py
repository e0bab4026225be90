"""Nothing that is read can run as code: not a model's weights, not a card, not a cache."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import ModelCard, RerankerCard
from dibs.encoders.base import EncoderContext, make_encoder
from dibs.encoders.folder import options_of
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError
from dibs.retrieval.rerankers.base import make_reranker
from tests.toys import ROOT

_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
_NAMES = {"eval", "exec", "compile", "__import__"}


def faults(source: str) -> list[str]:
    """What in a module could run data as code."""
    return [
        f"{node.lineno}: {fault}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
        for fault in _of(node)
    ]


def _of(node: ast.Import | ast.ImportFrom | ast.Call) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if name.name.partition(".")[0] in _MODULES)
    elif isinstance(node, ast.ImportFrom):
        if (node.module or "").partition(".")[0] in _MODULES:
            yield str(node.module)
    else:
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in _NAMES or called in ("os.system", "os.popen", "yaml.load", "yaml.unsafe_load"):
            yield called
        if called == "torch.load" and given.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        for word, fine in (("allow_pickle", "False"), ("shell", "False"), ("use_safetensors", "True")):
            if given.get(word, fine) != fine:
                yield f"{word}={given[word]}"
        if given.get("trust_remote_code") == "True":
            yield "trust_remote_code=True"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)", "eval(text)",
        "exec(text)",
        "yaml.load(stream)", "subprocess.run(words, shell=True)", "f(trust_remote_code=True)",
    ],
)  # fmt: skip
def test_the_search_finds(source: str) -> None:
    assert len(faults(source)) == 1


def test_no_module_runs_data_as_code() -> None:
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in (ROOT / "dibs").rglob("*.py")
        if (wrong := faults(path.read_text(encoding="utf-8")))
    }
    assert found == {}


class _Malicious:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def pickled_model(folder: Path, trace: Path) -> Path:
    """A model's folder, whole but for its weights, which are a pickle that leaves `trace`."""
    source = packaged("embeddings_all_minilm_l6_v2/model")
    small = {"config.json": {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}}
    folder.mkdir()
    for name, content in small.items():
        (folder / name).write_text(json.dumps(content))
    for path in source.rglob("*.json") if source else ():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Malicious(trace)))
    return folder


def test_the_pickle_would_leave_its_trace(tmp_path: Path) -> None:
    folder = pickled_model(tmp_path / "model", tmp_path / "trace")
    pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "adapter", ["sentence-transformers", "model2vec", "cross-encoder", "late-interaction"]
)
def test_pickled_weights_are_refused_unread(tmp_path: Path, adapter: str) -> None:
    folder = pickled_model(tmp_path / "model", tmp_path / "trace")
    context = EncoderContext(cache=tmp_path / "cache")
    reranks = adapter in ("cross-encoder", "late-interaction")
    make: Any = make_reranker if reranks else make_encoder
    card = (RerankerCard if reranks else ModelCard)(name="m", adapter=adapter, model=str(folder))
    with pytest.raises(InputError, match="weights are pickled") as caught:
        make(card, context)
    assert "model.safetensors" in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_a_pickle_in_a_part_of_a_model_is_refused(tmp_path: Path) -> None:
    folder = pickled_model(tmp_path / "model", tmp_path / "trace")
    (folder / "2_Dense").mkdir()
    (folder / "pytorch_model.bin").rename(folder / "2_Dense" / "pytorch_model.bin")
    (folder / "model.safetensors").write_bytes(b"")
    card = ModelCard(name="m", adapter="sentence-transformers", model=str(folder))
    with pytest.raises(InputError, match=r"2_Dense.*pickled"):
        make_encoder(card, EncoderContext(cache=tmp_path / "cache"))
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"")  # which is what will be read
    make_encoder(card, EncoderContext(cache=tmp_path / "cache"))


@pytest.mark.parametrize(
    "option",
    [
        {"model.trust_remote_code": True}, {"config.trust_remote_code": True},
        {"tokenizer.trust_remote_code": True}, {"model.code_revision": "main"}, {"config.auto_map": "x"},
        {"model.use_safetensors": False}, {"model.weights_only": False}, {"model.use_kernels": True},
        {"model.attn_implementation": "somebody/kernel"}, {"config._attn_implementation": "somebody/kernel"},
    ],
    ids=lambda option: next(iter(option)),
)  # fmt: skip
def test_a_card_alone_cannot_let_a_model_bring_code(option: dict[str, Any]) -> None:
    card = ModelCard(name="m", adapter="sentence-transformers", model="somebody/model", options=option)
    with pytest.raises(InputError, match="may let the model bring code"):
        options_of(card)


def test_harmless_options_stay() -> None:
    options: Any = {"tokenizer.add_eos_token": True, "model.attn_implementation": "eager"}
    card = ModelCard(name="m", adapter="sentence-transformers", options=options)
    assert options_of(card)["model"] == {"attn_implementation": "eager"}


@pytest.mark.parametrize("make", [make_encoder, make_reranker])
def test_remote_code_needs_the_user_s_word(tmp_path: Path, make: Any) -> None:
    adapter, kind = (
        ("sentence-transformers", ModelCard) if make is make_encoder else ("cross-encoder", RerankerCard)
    )
    card = kind(name="m", adapter=adapter, model=str(tmp_path), remote_code=True)
    with pytest.raises(MissingError, match="--trust-remote-code"):
        make(card, EncoderContext(cache=tmp_path))


def test_the_record_says_that_remote_code_ran() -> None:
    """The settings, and so the manifest's inputs and the record's hash, hold it."""
    for name in ("encoders/sentence_transformers.py", "retrieval/rerankers/local.py"):
        assert '"remote_code": ' in (ROOT / "dibs" / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_module_of_the_model_s_own_is_not_imported(tmp_path: Path) -> None:
    """modules.json may name any class; sentence-transformers imports its own alone, unless told."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "modeling_evil.Evil"}])
    )
    (folder / "modeling_evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'trace')!r}).touch()\n"
    )
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"")
    card = ModelCard(name="m", adapter="sentence-transformers", model=str(folder))
    with pytest.raises(InputError):
        make_encoder(card, EncoderContext(cache=tmp_path / "cache")).encode(["a"], "query")
    assert not (tmp_path / "trace").exists()
