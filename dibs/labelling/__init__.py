"""Relevance labels by people: pooled candidates, shown one by one, and journals of what was said of them.

    tasks/NAME.toml                  the task's card, of kind `beir`, in the workspace
    tasks/labels/NAME/WHO.jsonl      each labeller's journal: a line for each judgement, never changed
    tasks/.../qrels/SPLIT.tsv        what `--write` makes of the journals and of the gold that was given

source.py reads the task, whether it has qrels or not; pool.py asks the retrievers; session.py is where a
labeller stands; terminal.py and page.py show it; merged.py joins journals; qrels.py writes and counts.
"""
