"""A task of the user's own documents: what `dibs task new NAME` leaves in the workspace.

    tasks/NAME.toml               the card: kind `beir`, path NAME, `levels`, `synthetic` where nobody asked
    tasks/NAME/corpus.jsonl       {"_id", "title", "text", "metadata": {...}}, a unit a line
    tasks/NAME/queries.jsonl      {"_id", "text", "metadata": {"answer": ..., ...}}, a query a line
    tasks/NAME/qrels/test.tsv     query-id, corpus-id, score; the heading alone where nothing is judged yet
    tasks/NAME/input.json         what it was made of: files, hashes, readers, what was passed over

A *unit* is what is indexed: a document, one of its pages or sections, or a chunk. The card's `levels`
name what there is, the coarsest first and the units' own last: `["document", "page", "chunk"]`. The
corpus has a column (in `metadata`) for each level but the last, with the id of what the unit is part of:

    reports/2024.pdf              a document: its path in the folder
    reports/2024.pdf#p12          its twelfth page, counted from 1
    guide.md#install              a section: its heading, as web pages make anchors of them
    reports/2024.pdf#p12#c3       the third chunk of that page, counted from 1

Blanks, `#`, `%` and control characters of a path are as in web addresses (`my%20file.pdf`); the id of a
table's row is what its column `id` says. A document that is not divided has one part with its own id.

Qrels may name ids of any level. A query has gold at a level where everything that is relevant to it is
an id of that level or part of one. Runs are of units; `dibs.scoring.levels` makes them runs of pages and
documents. The task is measured at the finest level at which every query has gold.

Labels by people are not here: `dibs task label` keeps them in `tasks/labels/NAME/` and writes
`qrels/test.tsv` of them. Making the task anew (`--replace`) leaves them alone and writes qrels from
its own input; `dibs task label NAME --write` puts the labels back.
"""
