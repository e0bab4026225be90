"""The open stand-ins' repositories in small, in the shape of the real ones. All texts are invented."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

from dibs.cards.task import TaskCard
from tests.data.upstream import REVISION

LONG = "Tie the tail to the lower bridle and let out the line slowly until the kite stands."


def topic(title: str, asker: str, question: str, *answers: tuple[str, str]) -> bytes:
    """A topic's page as the forum's archive has it."""
    comments = "".join(
        f"""<a id="comment-{number}"></a>
  <div class="comment comment-published" >
    <div class="picture"><a href="../user/9.html"><img src="p.jpg" alt="{author}&#039;s picture"/></a></div>
<h3 class="title" style="padding-bottom:5px">Re: {title}</h3>
    <div class="submitted">Submitted by {author} on Tue, 13/01/2015 - 16:40.</div>
    <div class="content">
     {answer}
         </div>
    <div class="links">&raquo; <ul class="links"><li class="first last"></li>
</ul></div>
  </div>
"""
        for number, (author, answer) in enumerate(answers)
    )
    options = """<form action="x" method="post" id="comment-controls"><div><div class="box">
    <h2 class="title">Comment viewing options</h2>
    <div class="content"><div class="description">Select how to see the many comments that are
    shown on this page, and press the button below to save what you have chosen for later.</div></div>
</div></div></form>"""
    return f"""<!DOCTYPE html>
<html><head><title>{title} | Archive</title><script type="text/javascript"> </script></head>
<body><div id="box"><table id="header"><tr><td id="logo"><h1 class='site-name'>Archive</h1></td></tr></table>
<table id="content"><tr><td valign="top"><div id="main">
  <div class="breadcrumb"><a href="../index.html">Home</a> » <a href="../forum/4.html">Kites</a></div>
  <div class="node">
          <div class="comment" >
                <h3 class="title" style="">{title}</h3>
        <span class="submitted">Submitted by <a href="../1.html">{asker}</a> on Tue, 13/01/2015 - 16:21</span>
        <div class="content">{question}
  <div class="forum-topic-navigation clear-block">
          <a href="1.html" class="topic-previous" title="Go to previous forum topic">&lt; Before</a>
      </div>
</div>
      </div>
    <div class="links">&raquo; <ul class="links inline"><li class="first last"></li>
</ul></div>  </div>
{f'<div id="comments">{comments}{options}</div>' if answers else ""}
</div></td></tr></table><div id="footer"><p>All about kites.&nbsp;And more.</p></div></div></body></html>
""".encode()


FORUM = {
    "LICENSE": b"MIT",
    "forum/4.html": b"<html>a list</html>",
    "node/20.html": topic(
        "Tail &gt; 2 m?",
        "ann",
        "<p>Hi&nbsp;all,<br />\nhow <em>long</em>, and\twhy?</p>\n<p>&nbsp;</p>\n"
        "<ul>\n<li>red</li><li>blue</li></ul>",
        ("bob", "<p>Two metres.</p>"),
        ("cy", f"<div><p>Hello.</p><p>{LONG}</p></div><pre>a &lt; b\n  c</pre><script>no();</script>"),
        ("ann", f"<p>{LONG} {LONG} Thank you, that was it, and I will say so at length.</p>"),
    ),
    "node/3.html": topic(
        "Bridle knots", "Guest", "<p>Which?</p>", ("dee (not verified)", f"<p>Larks head. {LONG}</p>")
    ),
    "node/40.html": topic("Unanswered", "eve", "<p>Anyone?</p>"),
    "node/41.html": topic("Short", "eve", "<p>Anyone?</p>", ("bob", "<p>No, nobody.</p>")),
    "node/42.html": topic("Again", "eve", "<p>Which?</p>", ("fay", f"<p>Larks head. {LONG}</p>")),
    "node/43.html": topic("Alone", "eve", "<p>Hm.</p>", ("eve", f"<p>{LONG}</p>")),
    "node/44.html": topic("Empty", "eve", "<p>&nbsp;</p>", ("bob", f"<p>{LONG}</p>")),
    "node/45.html": b"<html><body><div class='node'><p>About this site</p></div></body></html>",
    "node/46.html": topic("B\u00e4r", "eve", "<p>K\u00e4se?</p>", ("bob", f"<p>{LONG} Gr\u00fcn.</p>"))
    .decode()
    .encode("latin-1", errors="replace"),
    "node/feed/20.html": b"no topic",
}

FAQ_PAGE = "docs/en/flying/kites.rst"
FAQ = {
    FAQ_PAGE: b"""Kites
=====

:link_to_translation:`de:[Deutsch]`

.. raw:: html

   <style>
   body {counter-reset: h2}
   </style>

--------------

How does ``launch()`` start the `X-1 <https://example.org/x1>`_ kite?
-----------------------------------------------------------------------

  Call ``launch(kite)``; see `the guide <https://example.org/guide>`__ and :ref:`Where may I fly? <where>`.

  .. note::

    Not in a *storm* | never.

  .. code-block:: c

    if (wind > 3) {
      launch(kite);
    }

  .. figure:: ../../_static/kite.png
    :align: center
    :width: 80%

    A kite

---------------

.. _where:

Where may I fly it?
----------------------------

  :KITE\\: X-1 | X-2:

  - Yes.

---------------

Does it also swim?
-----------------------

  Never.

What about small children?
--------------------------

  :KITE\\: X-1 | X-2:

  - Yes.

For flyers only
----------------

  Three words are no question here.
""",
    "docs/en/index.rst": b"FAQ\n===\n\n.. toctree::\n   :maxdepth: 1\n\n   flying/kites\n",
    "docs/en/conf.py": b"project = 'kites'\n",
    "docs/de/flying/kites.rst": b"Wie lang ist die Leine?\n-----------------------\n\n  Sehr lang.\n",
}

ARTICLE = "content/Help/Wash-the-sail.md"
ARTICLES = {
    ARTICLE: f"""---
title: "How to wash the sail"
id: 360020366520
---

Use [soap](https://example.org/soap), **no** <kbd>bleach</kbd>. <!-- tested -->

1. Press the ![Big button](img/button.png) button.

   * {LONG}

<a id="dry"></a>
## Dry it {{#dry}}

![The sail](img/sail.png)
""".encode(),
    "content/Help/Quoted.md": f"---\r\ntitle: 'Error \"no wind\" in summer'\r\n---\r\n{LONG}\r\n".encode(),
    "content/Help/One-word.md": f'---\ntitle: "Sails"\n---\n{LONG}\n'.encode(),
    "content/Help/Too-short.md": b"---\ntitle: Where to buy a sail\n---\nIn a shop.\n",
    "content/Help/No-end.md": f"---\ntitle: A heading without an end\n\n{LONG}\n".encode(),
    "content/Help/No-title.md": f"---\nid: 7\n---\n{LONG}\n".encode(),
    "content/Help/Bare.md": f"# How to wash it\n\n{LONG}\n".encode(),
    "content/Help/img/sail.png": b"\x89PNG",
    "README.md": f"---\ntitle: How to contribute here\n---\n{LONG}\n".encode(),
}

GUIDE = "documents/kite-flyer-guide/doc_source"
PAGES = {
    "QA_true.csv": b"""Question,Answer_True,Yes_No_True,Document_True
"In wind, may I fly? ",Up to 5 Bft,Yes, kite-flyer-guide/Wind.md
How long is the line?,"60 m,
or less ",None,kite-flyer-guide/parts/Line.md
""",
    f"{GUIDE}/Wind.md": b"""# Flying in wind<a name="wind"></a>

See [the limits](Limits.md#wind) \\(in Bft\\)\\.\x20\x20
+ **Note**



![\\[A kite\\]](http://example.org/kite.png) \\~5\n""",
    f"{GUIDE}/parts/Line.md": b"--------\n\n# Line\n\nTo 60 m\\.\n",
    f"{GUIDE}/Blank.md": b' <a name="x"></a>\n',
    "documents/kite-flyer-guide/README.md": b"# Not a page\n",
    "README.md": b"# Kites\n",
} | {f"{GUIDE}/Page{number}.md": f"# Page {number}\n".encode() for number in range(40)}

SHARE = [
    f"kite-flyer-guide/Page{number}.md"
    for number in range(40)
    if int(sha1(f"{GUIDE}/Page{number}.md".encode()).hexdigest(), 16) / 2**160 < 0.285
]
"""The pages that are taken, reckoned another way."""

NAMES = {"oem": "some/forum", "esp": "some/faq", "ard": "some/help", "aws": "some/guides"}


def card(kind: str, *names: str, **source: Any) -> TaskCard:
    repositories = {
        name: {"name": NAMES[name], "revision": REVISION, "licence": "mit", "attribution": f"by {name}"}
        for name in names
    }
    values = {"name": "Tiny", "description": "d", "licence": "mit", "citation": "c"}
    return TaskCard.model_validate(values | {"source": {"kind": kind, "repositories": repositories} | source})
