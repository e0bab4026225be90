"""The results of a batch: a line for each request, in any order, and nothing of it believed."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from dibs.llm.batch_api import BatchApi, BatchState, read_json, text_of
from dibs.llm.calls import FailedCallError, MalformedReplyError, failure_of


@dataclass(frozen=True)
class Line:
    """What a line of a batch's results says of one request."""

    name: str
    result: bytes | FailedCallError
    """The body that the endpoint itself would have sent, or what went wrong."""


def read_line(line: bytes) -> Line:
    """One line of the file of replies or of errors, of OpenAI's or Voyage's form.

    Raises:
        MalformedReplyError: it is of neither.
    """

    def read(said: Any) -> Line:
        name, response, error = text_of(said["custom_id"]), said.get("response"), said.get("error")
        if error:
            return Line(name, FailedCallError(str(error.get("message")), code=str(error.get("code"))))
        status, body = response["status_code"], response.get("body")
        if status == 200:
            if not isinstance(body, dict):
                raise TypeError("the reply is no object")
            return Line(name, json.dumps(body).encode())
        if type(status) is not int:
            raise TypeError("the status is no number")
        said_so = json.dumps(response if body is None else body).encode()
        return Line(name, failure_of(status, {}, said_so))

    return read_json(line, read)


def lines_of(api: BatchApi, state: BatchState, names: Set[str], faults: Counter[str]) -> Iterator[Line]:
    """What a batch says of its requests, each once; it is downloaded whole first.

    Args:
        names: Of the batch's requests.
        faults: Counts the lines that are passed over, by the reason.

    Raises:
        ProviderError: a file cannot be had.
    """
    seen: set[str] = set()
    with tempfile.TemporaryFile() as content:
        for file in state.files:
            api.download(file, content)
            content.seek(0)
            for row in content:
                if not row.strip():
                    continue
                try:
                    line = read_line(api.clean(row))
                except MalformedReplyError:
                    faults["a line of the results cannot be read"] += 1
                    continue
                if line.name not in names:
                    faults["a line is of a request that was not in the batch"] += 1
                elif line.name in seen:
                    faults["a request has a second line, which is passed over"] += 1
                else:
                    seen.add(line.name)
                    yield line
