"""When an answer is none: it says that it cannot answer."""

from __future__ import annotations

import re

_KNOW = (
    r"(?:determin|provid|answer|calculat|comput|find|access|give|identif|locat|assess|conclu|confirm|stat"
    r"|tell|retriev|ascertain|say|offer|evaluat|analy[sz])\w*"
)
_TELL = r"(?:contain|includ|provid|mention|specif|give|disclos|offer|stat|list|show|present|report)\w*"
_MATTER = (
    r"(?:information|data|details?|figures?|numbers?|evidence|mention|context|indication|access|answer"
    r"|amounts?|values?|financials?|statements?|explicit\w*|specific\w*|enough|sufficient|necessary|any)"
)
_SOURCE = (
    r"(?:context|texts?|documents?|passages?|excerpts?|information|data|filings?|reports?|sources?|evidence"
    r"|materials?|pages?|snippets?|tables?)"
)
_NOT = r"(?:\ not|n't)"
_REFUSES = re.compile(
    rf"""
      \b(?:can(?:not|\ not|'t)|could{_NOT}|unable\ to|not\ able\ to|(?:not|n't)\ possible\ to
         |(?:impossible|difficult)\ to)\ (?:\w+\ ){{0,3}}?(?:be\ (?:\w+\ )?)?{_KNOW}
    | \b(?:do|did|does){_NOT}\ (?:\w+\ ){{0,3}}?know\b
    | \b(?:do|did|does|has|have|had){_NOT}\ (?:\w+,?\ ){{0,4}}?(?:have\b|outlin\w+|{_TELL})
        (?:\ \S+){{0,6}}?\ {_MATTER}\b
    | \b{_SOURCE}\b(?:\ \S+){{0,4}}?\ (?:do|did|does){_NOT}\ (?:\w+\ ){{0,2}}?{_TELL}
    | \b(?:is|are|was|were){_NOT}\ (?:\w+,?\ ){{0,3}}?
        (?:provided|available|given|disclosed|included|mentioned|specified|contained|stated|present)\b
    | \bnot\ (?:\w+\ )?(?:provided|available|given|included|mentioned|specified|contained)\ in\b
    | \bno\ (?:\w+\ ){{0,3}}?(?:information|data|mention|context|details|evidence|specifics)\b
    | \b(?:have|has){_NOT}\ (?:been\ )?provided\b
    | \bas\ an?\ (?:AI|artificial|language)\b | \bI(?:'|\ a)m\ (?:sorry|afraid)\b | \bI\ apologi[sz]e\b
    | ^\W*(?:sorry|apologies|unfortunately)\b
    | \b(?:insufficient|not\ enough|lacks?(?:\ of)?|without|missing)\ (?:\w+\ ){{0,4}}?
        (?:information|data|context|details|figures|statements?)\b
    | \b(?:you|I|we|one)(?:'d|'ll|\ would|\ will)\ (?:\w+\ )?(?:need|have)\ (?:to|the|access|more)\b
    | \bwould\ (?:\w+\ )?need\ (?:to|the|access|more|additional)\b
    | \bwe\ need\ (?:the\ following|to\ know|more|additional)\b
    | \bif\ you\ (?:can\ |could\ )?(?:provide|have|share)\b
    | \bplease\ (?:provide|refer|consult|check|share|review)\b
    | \b(?:recommend|suggest)\ (?:\w+\ ){{0,2}}?(?:checking|consulting|reviewing|referring)
    | \bas\ of\ my\ (?:last|knowledge|most|training) | \bmy\ (?:last\ )?(?:knowledge|training)\b
    | \bN/A\b | ^\W*(?:unknown|not\ (?:available|found|stated|specified|provided|disclosed))\W*$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HINTS = (
    "not", "n't", "no ", "unable", "impossible", "difficult", "as a", "sorry", "afraid", "apolog",
    "unfortunate", "insufficient", "lack", "without", "missing", "need", "have to", "have access",
    "if you", "please", "recommend", "suggest", "of my", "my ", "n/a", "unknown",
)  # fmt: skip
"""One of these is in every refusal; looking for them first is ten times as fast."""


def refusal(sentence: str) -> str | None:
    """The words by which a sentence says that it cannot answer, None where it does not."""
    lowered = sentence.lower()
    if not any(hint in lowered for hint in _HINTS):
        return None
    found = _REFUSES.search(sentence)
    return " ".join(found[0].split()) if found else None
