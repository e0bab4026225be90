"""The data that a record was made with, for what the record itself does not hold."""

from __future__ import annotations

from dibs.data.dataset import Dataset, open_dataset
from dibs.errors import InputError, MissingError
from dibs.records import Record
from dibs.workspace import Workspace


def data_of(record: Record, workspace: Workspace) -> Dataset:
    """The record's data set, if it is what is here now.

    Raises:
        MissingError: the data is not here; InputError: other data is.
    """
    try:
        dataset = open_dataset(workspace.data / record.task)
    except FileNotFoundError:
        raise MissingError(
            "the record's data is not here", where=record.name, todo=f"Run: dibs data prepare {record.task}"
        ) from None
    if dataset.info.sha256 != record.manifest["data"]["sha256"]:
        raise InputError(
            f"the record was made with other data ({record.manifest['data']['sha256'][:12]}) "
            f"than is here ({dataset.info.sha256[:12]})",
            where=record.name,
            todo="Prepare that data again, or run again on this.",
        )
    return dataset
