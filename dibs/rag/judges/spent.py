"""What the chat models behind judges were asked in all."""

from __future__ import annotations

from collections.abc import Sequence

from dibs.llm.chat import Spent
from dibs.rag.judges.base import Judge


def spent_by(judges: Sequence[Judge]) -> Spent | None:
    """The sum over judges that ask a model; None if none does."""
    parts = [spent for judge in judges if isinstance(spent := getattr(judge, "spent", None), Spent)]
    if not parts:
        return None
    costs = [part.usd for part in parts if part.usd is not None]
    return Spent(
        requests=sum(part.requests for part in parts),
        cached=sum(part.cached for part in parts),
        failed=sum(part.failed for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        usd=sum(costs) if len(costs) == len(parts) else None,
    )
