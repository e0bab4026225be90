"""The Hugging Face hub: the files of one of its repositories, and its client's errors as ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from dibs.errors import InputError, MissingError, ProviderError

Kind = Literal["model", "dataset"]
_NAMES: dict[Kind, str] = {"model": "model", "dataset": "data set"}


def fetch(
    kind: Kind,
    name: str,
    revision: str | None,
    *,
    only: list[str] | None = None,
    without: list[str] | None = None,
    later: str = "Try again later.",
    absent: MissingError | None = None,
    unreachable: MissingError | None = None,
) -> Path:
    """The folder of the hub's own cache with a repository's files, which are fetched if need be.

    Args:
        name: "owner/name".
        revision: A commit, tag or branch; None is the newest.
        only: Patterns of the files wanted; None is all.
        without: Patterns of files to leave on the hub.
        later: What to do when the hub fails.
        absent: Raised, if given, where there is no such repository.
        unreachable: Raised, if given, where the hub is out of reach and its cache has not that revision.

    Raises:
        MissingError: there is no such repository, or it is gated.
        InputError: the name is malformed, or there is no such revision.
        ProviderError: the hub is out of reach and its cache has not that revision, or it failed in
            another way, such as a connection that broke off.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    _quieten()
    what = _NAMES[kind]
    try:
        return Path(
            snapshot_download(
                name, repo_type=kind, revision=revision, allow_patterns=only, ignore_patterns=without
            )
        )
    except GatedRepoError as error:
        todo = "Accept its terms on the hub and set HF_TOKEN."
        raise MissingError(f"the {what} is gated", where=name, todo=todo) from error
    except RevisionNotFoundError as error:
        problem = f"the hub has no revision {revision!r} of it"
        raise InputError(problem, where=name, todo="Correct the revision in its card.") from error
    except RepositoryNotFoundError as error:
        todo = "Check its name; for a private one, set HF_TOKEN."
        raise absent or MissingError(f"the hub has no such {what}", where=name, todo=todo) from error
    except HFValidationError as error:
        todo = "Write it as owner/name."
        raise InputError(f"is not a name of the hub: {error}", where=name, todo=todo) from error
    except LocalEntryNotFoundError as error:
        cause = str(error.__cause__ or error).strip().partition("\n")[0]
        problem = f"the hub cannot be read, and this revision is not in its cache: {cause}"
        raise unreachable or ProviderError(problem, where=name, todo=later) from error
    except Exception as error:  # the client lets through what its HTTP library raises
        raise ProviderError(f"the hub failed: {error!r}", where=name, todo=later) from error


def _quieten() -> None:
    """Switch the client's progress bars off where nobody watches them, unless its variable has settled it."""
    from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if HF_HUB_DISABLE_PROGRESS_BARS is None and not sys.stderr.isatty():
        disable_progress_bars()
