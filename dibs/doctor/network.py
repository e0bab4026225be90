"""The hub, chat servers on this machine, and the keys: which are here, and where they go."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from dibs.cards.model import AdapterCard, LLMCard
from dibs.doctor.findings import Finding
from dibs.errors import DibsError
from dibs.keys import HOMES, check_key, is_loopback

HUB_PATIENCE = 3.0
"""Seconds that the hub has to answer."""
_LOCAL_PATIENCE = 0.3
_HUB = "https://huggingface.co"


def hub_finding(*, offline: bool) -> Finding:
    """Whether models and data can be fetched from the hub."""
    if offline:
        return Finding("network", "hub", "ready", "not asked (--offline)")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return Finding(
            "network", "hub", "missing", "offline, by HF_HUB_OFFLINE: its cache alone", "unset HF_HUB_OFFLINE"
        )
    address = os.environ.get("HF_ENDPOINT") or _HUB
    host = urlsplit(address).hostname or address
    if why := _unreachable(address):
        todo = "Check the network and HTTPS_PROXY; with packages from models.txt no hub is needed."
        return Finding("network", "hub", "missing", f"{host}: {why}", todo)
    return Finding("network", "hub", "ready", f"{host} answers")


def _unreachable(address: str) -> str | None:
    """Why the hub does not answer. A thread asks: a name server may take longer than any time-out."""
    told: list[str | None] = []

    def ask() -> None:
        import httpx

        try:
            httpx.head(address, timeout=HUB_PATIENCE, follow_redirects=True)
            told.append(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the hub does not answer
            told.append(type(error).__name__)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_PATIENCE)
    return told[0] if told else f"no answer in {HUB_PATIENCE:.0f} seconds"


def server_findings(cards: list[LLMCard]) -> Iterator[Finding]:
    """Chat servers on this machine, and whether they answer."""
    for card in cards:
        url = card.base_url or ""
        if not is_loopback(url):
            continue
        place = urlsplit(url)
        try:
            with socket.create_connection((place.hostname, place.port or 80), timeout=_LOCAL_PATIENCE):
                yield Finding("servers", card.name, "ready", f"{url} answers")
        except OSError:
            todo = f"dibs serve {card.name}" if card.package_path else f"Start your server at {url}."
            yield Finding("servers", card.name, "missing", f"nothing answers at {url}", todo)


def key_findings(cards: list[AdapterCard]) -> Iterator[Finding]:
    """Each key that a card names: whether it is here, and the hosts it goes to. Never the key itself."""
    users: dict[str, list[AdapterCard]] = {}
    for card in cards:
        if card.key:
            users.setdefault(card.key, []).append(card)
    for variable, mine in sorted(users.items()):
        home = HOMES.get(variable)
        hosts = set(home.hosts[:1]) if home else set()
        refused: list[AdapterCard] = []
        for card in mine:
            url = card.base_url
            if url is None or "${" in url:
                continue
            try:
                check_key(variable, url, card.name)
            except DibsError as error:
                yield Finding("keys", variable, "missing", f"{card.name}: {error.problem}", error.todo)
                refused.append(card)
                continue
            hosts.add(urlsplit(url).hostname or url)
        if len(refused) == len(mine):
            continue
        goes = f"for {', '.join(sorted(hosts))}" if hosts else "for the address in its cards"
        if os.environ.get(variable, "").strip():
            yield Finding("keys", variable, "ready", f"set, {goes}")
        else:
            names = ", ".join(card.name for card in mine[:3]) + (", ..." if len(mine) > 3 else "")
            yield Finding("keys", variable, "missing", f"not set, {goes} ({names})", f"export {variable}=...")
