"""Where things are: cards, records and results in the workspace; data and vectors in the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dibs.cards.model import LLMCard, ModelCard, RerankerCard
from dibs.cards.read import AnyCard, read_card
from dibs.cards.task import TaskCard
from dibs.errors import DibsError, InputError, unknown

_PACKAGE = Path(__file__).parent
# A wheel carries the cards inside the package; a checkout has them beside it.
BUILTIN = _PACKAGE / "builtin" if (_PACKAGE / "builtin").is_dir() else _PACKAGE.parent

_FOLDERS: dict[type[TaskCard] | type[ModelCard] | type[RerankerCard] | type[LLMCard], str] = {
    TaskCard: "tasks",
    ModelCard: "models",
    RerankerCard: "rerankers",
    LLMCard: "models/llm",
}
_KINDS = {TaskCard: "task", ModelCard: "model", RerankerCard: "reranker", LLMCard: "LLM"}


@dataclass(frozen=True)
class Workspace:
    """A folder with `tasks/ models/ rerankers/ results/ leaderboard/`, and the cache that serves it.

    The workspace's own cards come before the ones DIBS ships.
    """

    root: Path
    cache: Path

    @classmethod
    def find(cls, root: Path | None = None) -> Workspace:
        """`root`, else `$DIBS_WORKSPACE`, else the current folder; the cache: `$DIBS_CACHE` or the user's."""
        folder = root or Path(os.environ.get("DIBS_WORKSPACE") or Path.cwd())
        if not folder.is_dir():
            raise InputError(
                "the workspace is not a folder", where=str(folder), todo="Create it, or name another."
            )
        cache = os.environ.get("DIBS_CACHE") or platformdirs.user_cache_dir("dibs")
        return cls(folder, Path(cache))

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def data(self) -> Path:
        return self.cache / "data"

    @property
    def vectors(self) -> Path:
        return self.cache / "vectors"

    @property
    def indexes(self) -> Path:
        return self.cache / "indexes"

    def card_files(self, kind: type[AnyCard]) -> dict[str, Path]:
        """Card files by the name they stand under; a file is named after its card."""
        folders = (BUILTIN / _FOLDERS[kind], self.root / _FOLDERS[kind])
        return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}

    def card(self, kind: type[AnyCard], name: str) -> AnyCard:
        """The card of that name, letter case aside.

        Raises:
            InputError: no such card (with the nearest names), or the card is malformed.
        """
        files = self.card_files(kind)
        own_first = reversed(files.items())
        path = files.get(name) or next((p for n, p in own_first if n.lower() == name.lower()), None)
        if path is None:
            raise unknown(_KINDS[kind], name, files)
        return self._read(kind, path)

    def _read(self, kind: type[AnyCard], path: Path) -> AnyCard:
        card = read_card(kind, path)
        if card.name != path.stem:
            raise InputError(
                f"the card's name is {card.name!r}", where=str(path), todo=f"Name the file {card.name}.toml."
            )
        folder = self.root / (getattr(card, "model", None) or "")
        if folder != self.root and folder.is_dir():  # a model's folder is named from the workspace
            return card.model_copy(update={"model": str(folder)})
        return card

    def cards(self, kind: type[AnyCard]) -> Iterator[AnyCard | DibsError]:
        """Every card in the order of their names; a malformed one comes as its error."""
        for _, path in sorted(self.card_files(kind).items(), key=lambda item: item[0].lower()):
            try:
                yield self._read(kind, path)
            except DibsError as error:
                yield error
