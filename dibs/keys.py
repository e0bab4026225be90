"""Where a key may go. A card can name any address and any variable, and a card may be a stranger's.

1. A provider's variable, such as OPENAI_API_KEY, goes to that provider's hosts, and to the one that the
   user's own environment names (OPENAI_BASE_URL).
2. Any other host gets a variable that its card names, whose name ends in _API_KEY or _TOKEN and does not
   belong to another service (AWS_..., GITHUB_...). Which goes where is said when it is first sent.
3. Nothing is sent in the clear: to http:// no key goes, but to this machine.

A server on this machine may be sent any of these.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from dibs.errors import InputError

_ENDINGS = ("_API_KEY", "_TOKEN")


@dataclass(frozen=True)
class Home:
    """Where a provider's key belongs."""

    hosts: tuple[str, ...]
    """Domains; those below them are meant too."""
    address: str = ""
    """The environment variable by which the user names another host."""


HOMES = {
    "ANTHROPIC_API_KEY": Home(("anthropic.com",)),
    "AZURE_OPENAI_API_KEY": Home(("openai.azure.com", "cognitiveservices.azure.com")),
    "COHERE_API_KEY": Home(("cohere.com", "cohere.ai")),
    "CO_API_KEY": Home(("cohere.com", "cohere.ai")),
    "DATABRICKS_TOKEN": Home(
        ("databricks.com", "azuredatabricks.net", "databricksapps.com"), "DATABRICKS_HOST"
    ),
    "DEEPSEEK_API_KEY": Home(("deepseek.com",)),
    "FIREWORKS_API_KEY": Home(("fireworks.ai",)),
    "GEMINI_API_KEY": Home(("googleapis.com",)),
    "GITHUB_TOKEN": Home(("api.github.com",), "GITHUB_API_URL"),
    "GOOGLE_API_KEY": Home(("googleapis.com",)),
    "GROQ_API_KEY": Home(("groq.com",)),
    "HF_TOKEN": Home(("huggingface.co", "endpoints.huggingface.cloud"), "HF_ENDPOINT"),
    "JINA_API_KEY": Home(("jina.ai",)),
    "MISTRAL_API_KEY": Home(("mistral.ai",)),
    "NVIDIA_API_KEY": Home(("nvidia.com",)),
    "OPENAI_API_KEY": Home(("openai.com",), "OPENAI_BASE_URL"),
    "OPENROUTER_API_KEY": Home(("openrouter.ai",)),
    "TOGETHER_API_KEY": Home(("together.xyz", "together.ai")),
    "VOYAGE_API_KEY": Home(("voyageai.com", "ai.mongodb.com")),
}
"""The variables that providers' own documentation names, and the hosts of those providers."""

_FOREIGN = (
    "ACTIONS_", "AWS_", "AZURE_", "BITBUCKET_", "CI_", "CIRCLE_", "CLOUDFLARE_", "DOCKER_", "GCP_", "GH_",
    "GITHUB_", "GITLAB_", "GOOGLE_", "HUGGING", "KUBE", "MLFLOW_", "NPM_", "PYPI_", "SLACK_", "SSH_",
    "STRIPE_", "TWINE_", "VAULT_", "WANDB_",
)  # fmt: skip
"""How variables begin that belong to what no card is of."""


def may_go(variable: str, url: str) -> bool:
    """Whether the key in that variable belongs to the host of `url`, whatever a card says."""
    if is_loopback(url):
        return True
    home, host = HOMES.get(variable), _host(url)
    if home is None or not host or urlsplit(url).scheme != "https":
        return False
    own = _host(os.environ.get(home.address, "")) if home.address else ""
    return host == own or any(host == known or host.endswith(f".{known}") for known in home.hosts)


def check_key(variable: str, url: str, card: str) -> None:
    """Refuse to send the key in `variable` to `url`, as `card` wants, where that breaks a rule above.

    Raises:
        InputError: the variable is another provider's or service's, or the address is plain http.
    """
    if may_go(variable, url):
        return
    host = _host(url) or url
    if not variable.endswith(_ENDINGS) or variable.startswith(_FOREIGN) or variable in HOMES:
        home = HOMES.get(variable)
        if home and urlsplit(url).scheme != "https" and may_go(variable, url.replace("http", "https", 1)):
            raise _in_the_clear(variable, card)
        own = f", or set {home.address} to that address" if home and home.address else ""
        raise InputError(
            f"the key in {variable} is not for {host}",
            where=card,
            todo="If the card is yours, give the server a variable of its own, such as MY_SERVER_API_KEY, "
            f"and name it as `key` in the card{own}.",
        )
    if urlsplit(url).scheme != "https":
        raise _in_the_clear(variable, card)


def say_key(variable: str, url: str, card: str) -> None:
    """Say, once in a process, that a key goes to a host that only a card knows."""
    if not may_go(variable, url):
        _say(variable, _host(url), card)


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    host = _host(url)
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _say(variable: str, host: str, card: str) -> None:
    warnings.warn(f"the key in {variable} is sent to {host}, as the card {card} says", stacklevel=4)


def _in_the_clear(variable: str, card: str) -> InputError:
    return InputError(
        f"the key in {variable} would be sent without encryption, to an http:// address",
        where=card,
        todo="Use https, or a tunnel to 127.0.0.1 (ssh -L); without `key` in the card none is sent.",
    )


def _host(url: str) -> str:
    """The host of an address; of a bare host, itself."""
    try:
        return (urlsplit(url if "://" in url else f"//{url}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""
