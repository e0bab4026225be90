"""When an answer is none: it says that it cannot answer."""

from __future__ import annotations

import re

_KNOW = r"(?:determin|provid|answer|calculat|comput|find|access|give|identif|locat|assess|conclu|confirm|stat|tell|retriev|ascertain|say|offer|evaluat|analy[sz])\w*"
_MATTER = r"(?:information|data|details?|figures?|numbers?|evidence|mention|context|indication|access|answer|specifics?|amounts?|values?|financials?|statements?|explicit\w*|specific\w*|enough|sufficient|necessary|any)"
_SOURCE = r"(?:context|texts?|documents?|passages?|excerpts?|information|data|filings?|reports?|sources?|evidence|materials?|pages?|snippets?|tables?)"
_REFUSES = re.compile(
    rf"""
      \b(?:can(?:not|\s+not|'t)|could\s+not|couldn't|unable\s+to|not\s+able\s+to|(?:not|n't)\s+possible\s+to|impossible\s+to|difficult\s+to)\s+
        (?:\w+\s+){{0,3}}?(?:be\s+(?:\w+\s+)?)?{_KNOW}
    | \b(?:do|did|does)(?:\s+not|n't)\s+(?:\w+\s+){{0,3}}?know\b
    | \b(?:do|did|does|has|have|had)(?:\s+not|n't)\s+(?:\w+,?\s+){{0,4}}?
        (?:contain|includ|provid|mention|specif|give|disclos|have|offer|stat|outlin|list|show|present|report|appear\ to\ (?:contain|includ|provid))\w*
        (?:\s+\S+){{0,6}}?\s+{_MATTER}\b
    | \b{_SOURCE}\b(?:\s+\S+){{0,4}}?\s+(?:do|did|does)(?:\s+not|n't)\s+(?:\w+\s+){{0,2}}?(?:contain|includ|provid|mention|specif|give|disclos|offer|stat|list|show|present|report)\w*
    | \b(?:is|are|was|were)(?:\s+not|n't)\s+(?:\w+,?\s+){{0,3}}?(?:provided|available|given|disclosed|included|mentioned|specified|contained|stated|present)\b
    | \bnot\s+(?:\w+\s+)?(?:provided|available|given|included|mentioned|specified|contained)\s+in\b
    | \bno\s+(?:\w+\s+){{0,3}}?(?:information|data|mention|context|details|evidence|specifics)\b
    | \b(?:have|has)(?:\s+not|n't)\s+(?:been\s+)?provided\b
    | \bas\s+an?\s+(?:AI|artificial|language)\b | \bI'?\s?(?:a|')m\s+(?:sorry|afraid)\b | \bI\s+apologi[sz]e\b | ^\W*(?:sorry|apologies|unfortunately)\b
    | \b(?:insufficient|not\s+enough|lacks?(?:\s+of)?|without|missing)\s+(?:\w+\s+){{0,4}}?(?:information|data|context|details|figures|statements?)\b
    | \b(?:would|will|you'd|I'd)\s+(?:\w+\s+)?(?:need|have)\s+(?:the|to|access|more|additional)\b | \bwe\s+need\s+(?:the\s+following|to\s+know|more|additional)\b
    | \bif\s+you\s+(?:can\s+|could\s+)?(?:provide|have|share)\b | \bplease\s+(?:provide|refer|consult|check|share|review|note\s+that\s+(?:I|as))\b
    | \b(?:recommend|suggest)\s+(?:\w+\s+){{0,2}}?(?:checking|consulting|reviewing|referring)
    | \bas\s+of\s+my\s+(?:last|knowledge|most|training) | \bmy\s+(?:last\s+)?(?:knowledge|training)\b
    | \bN/A\b | ^\W*(?:unknown|not\s+(?:available|found|stated|specified|provided|disclosed))\W*$
    """,
    re.VERBOSE | re.IGNORECASE,
)


def refusal(sentence: str) -> str | None:
    """The words by which a sentence says that it cannot answer, None where it does not."""
    found = _REFUSES.search(sentence)
    return " ".join(found[0].split()) if found else None
