"""What is said of work that is with a provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from dibs.errors import DibsError
from dibs.llm.batch_api import BatchState

UNREACHED = "not reached"
"""The status of a batch whose provider gave no answer; it may be well."""


class PendingError(DibsError):
    """Requests are with a provider, who is not done; nothing is wrong."""

    exit_code = 0

    def __init__(
        self,
        provider: str,
        batches: Sequence[BatchState],
        held: int,
        look: Callable[[], Sequence[BatchState]],
    ) -> None:
        """Where things are.

        Args:
            held: Requests that the provider takes only when it has done others.
            look: Asks how far the batches are now.
        """
        self.provider, self.batches, self.held, self._look = provider, tuple(batches), held, look
        statuses = Counter(state.status for state in batches)
        done, total = sum(state.done for state in batches), sum(state.total for state in batches)
        said = ", ".join(f"{count} {status}" for status, count in statuses.items()) or "none yet"
        held_back = f"; {held:,} are held back until it takes more" if held else ""
        super().__init__(
            f"batches at {provider}: {said}; {done:,} of {total:,} requests done{held_back}",
            todo="The same command collects what is done.",
        )

    @staticmethod
    def together(pending: Sequence[PendingError]) -> PendingError:
        """All of them as one; no batch counts twice."""
        states = {state.id: state for one in pending for state in one.batches}
        provider = ", ".join(dict.fromkeys(one.provider for one in pending))

        def look() -> list[BatchState]:
            return list({state.id: state for one in pending for state in one._look()}.values())

        return PendingError(provider, list(states.values()), sum(one.held for one in pending), look)

    def now(self) -> PendingError:
        """The same batches as they are by now."""
        return PendingError(self.provider, self._look(), self.held, self._look)

    @property
    def ready(self) -> bool:
        """There is something to collect or to order."""
        return self.held > 0 or any(state.over for state in self.batches)

    @property
    def silent(self) -> bool:
        """No batch could be asked after."""
        return bool(self.batches) and all(state.status == UNREACHED for state in self.batches)
