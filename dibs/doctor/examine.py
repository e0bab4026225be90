"""Everything the doctor looks at, in the order it is read."""

from __future__ import annotations

from collections.abc import Iterator

from dibs.cards.model import LLMCard
from dibs.doctor.findings import Finding
from dibs.doctor.machine import machine_findings
from dibs.doctor.network import hub_finding, key_findings, server_findings
from dibs.doctor.packages import package_findings
from dibs.doctor.workspace import adapter_cards, model_findings, task_findings
from dibs.workspace import Workspace


def examine(workspace: Workspace, *, offline: bool = False) -> Iterator[Finding]:
    """What is ready here, what is missing, slow or broken.

    Args:
        offline: Ask no server but those of this machine.
    """
    cards = adapter_cards(workspace)
    yield from package_findings()
    yield from machine_findings(workspace)
    yield hub_finding(offline=offline)
    yield from key_findings(cards)
    yield from server_findings([card for card in cards if isinstance(card, LLMCard)])
    yield from task_findings(workspace)
    yield from model_findings(workspace)
