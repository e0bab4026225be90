"""What `dibs.run` gives: records, read as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dibs.errors import DamagedError, InputError, unknown
from dibs.records import RUN, Record
from dibs.report.comparison import compare
from dibs.report.data import data_of
from dibs.report.tables import as_rows
from dibs.retrieval.run import read_run
from dibs.scoring.statistics import Estimate
from dibs.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Result:
    """Records of pipelines on tasks; a notebook shows them as a table.

    `result[NAME]` is the part of a pipeline or of a task, `for one in result` goes through the records one
    by one, each a result, and `len(result)` counts them.
    """

    records: tuple[Record, ...]
    """A hybrid's or reranked pipeline's record stands after those of the pipelines it is made of."""
    workspace: Workspace
    asked: tuple[str, ...]
    """The names of those records that were asked for; the others are parts of them."""

    @property
    def record(self) -> Record:
        """The one record that was asked for.

        Raises:
            InputError: there are several; they are named.
        """
        found = [record for record in self.records if record.name in self.asked]
        if len(found) != 1:
            names = ", ".join(f"{record.task}: {record.pipeline}" for record in found)
            todo = "Choose one: result[PIPELINE], and of several tasks result[TASK][PIPELINE]."
            raise InputError(f"the result holds {len(found)} records ({names})", todo=todo)
        return found[0]

    def __getitem__(self, name: str) -> Result:
        """The records of a pipeline, or of a task.

        Raises:
            InputError: neither is called `name`.
        """
        chosen = tuple(record for record in self.records if name in (record.pipeline, record.task))
        if not chosen:
            known = [own for record in self.records for own in (record.pipeline, record.task)]
            raise unknown("pipeline or task of the result", str(name), set(known))
        if any(record.pipeline == name for record in chosen):  # a part too, once it is named
            return Result(chosen, self.workspace, tuple(record.name for record in chosen))
        return Result(chosen, self.workspace, self.asked)

    def __iter__(self) -> Iterator[Result]:
        for record in self.records:
            yield Result((record,), self.workspace, (record.name,))

    def __len__(self) -> int:
        return len(self.records)

    def table(self, by: str | None = None) -> pd.DataFrame:
        """The scores, as below `dibs run`.

        Args:
            by: A field of the queries, such as `question_type`; its values are rows too.

        Returns:
            A row a record and subset of the queries: `task`, `subset` (`all`, one that the task's card
            names, or `FIELD=VALUE`), `pipeline`, `queries` and `documents` (how many), for each measure
            its mean in 0..1 and the limits of its 95 % interval (`recall@10`, `recall@10 low`,
            `recall@10 high`; missing with fewer than two clusters), and `record`, its name in `results/`.

        Raises:
            InputError: the queries have no such field, or other data is here than the records were made
                with; MissingError: the field is not in the records, and the data is not here.
        """
        import pandas as pd

        rows = []
        for row in as_rows(self.records, by, self.workspace):
            scores: dict[str, float | None] = {}
            for name, found in row["measures"].items():
                scores |= {name: found["value"], f"{name} low": found["low"], f"{name} high": found["high"]}
            what = {"task": row["task"], "subset": row["subset"], "pipeline": row["pipeline"]}
            counts = {"queries": row["n_queries"], "documents": row["n_documents"]}
            rows.append(what | counts | scores | {"record": row["record"].removeprefix("results/")})
        return pd.DataFrame(rows)

    def per_query(self) -> pd.DataFrame:
        """What each query scored, and where its gold documents were ranked.

        Returns:
            A row a record and query: `task`, `pipeline`, `query_id`, each measure in 0..1; and, missing
            where the records' data is not here, `query`, its text, `gold`, the ids of its relevant
            documents, `gold_ranks`, their ranks in the same order (None for one that is not in the run),
            and `first_rank`, the best of them (missing if none is in the run). Where the task's card says
            so, also the query's `cluster`, its `split`, and `in:SUBSET`, whether a subset holds it.

        Raises:
            DamagedError: a record is not as it was written.
        """
        import pandas as pd

        return pd.concat([self._queries(record) for record in self.records], ignore_index=True)

    def compare(self, other: Result) -> pd.DataFrame:
        """Whether `other` is better than this, query by query: `dibs compare`.

        Args:
            other: A result of one record on the same task and data, as this has to be.

        Returns:
            A row a measure (the index), the task's main one first: the means `first` (this) and `second`
            (`other`); `difference`, the second less the first, and the limits `low` and `high` of its 95 %
            interval (paired bootstrap over clusters; missing with fewer than two); `p` of Fisher's
            randomisation test, two-sided, not corrected for the number of measures; and on how many queries
            the second `won`, `lost` and `tied`.

        Raises:
            InputError: they are of other tasks or other data, or one and the same; or one of the results
                holds several records. DamagedError: a record is not as it was written.
        """
        import pandas as pd

        found = compare(self.record, other.record, self.workspace, 0)
        rows = []
        for name, one in found.differences.items():
            first, second = found.means[name]
            limits = {"difference": one.estimate.value, "low": one.estimate.low, "high": one.estimate.high}
            counts = {"won": one.won, "lost": one.lost, "tied": one.tied}
            rows.append({"measure": name, "first": first, "second": second, **limits, "p": one.p, **counts})
        return pd.DataFrame(rows).set_index("measure")

    def __repr__(self) -> str:
        return self._glance().to_string(index=False)

    def _repr_html_(self) -> str:
        return self._glance().to_html(index=False)

    def _glance(self) -> pd.DataFrame:
        """A row a record: the task's main measure over all queries."""
        import pandas as pd

        rows = []
        for record in self.records:
            main = record.manifest["scoring"]["main_measure"]
            found = Estimate(**record.scores["subsets"]["all"]["measures"][main])
            what = {"task": record.task, "pipeline": record.pipeline, "measure": main}
            rows.append(what | {"mean [95 %]": str(found), "record": record.name})
        return pd.DataFrame(rows)

    def _queries(self, record: Record) -> pd.DataFrame:
        if faults := record.faults():
            raise DamagedError("; ".join(faults), where=record.name, todo="Delete that folder and run again.")
        import pandas as pd

        queries = record.queries()
        queries.insert(0, "task", record.task)
        queries.insert(1, "pipeline", record.pipeline)
        try:
            dataset = data_of(record, self.workspace)
        except InputError:  # scores need no data; texts and gold do
            return queries.assign(query=None, gold=None, gold_ranks=None, first_rank=None)
        rankings = read_run(record.folder / RUN, dataset.query_ids).rankings
        texts = dict(zip(dataset.query_ids, dataset.query_texts(), strict=True))
        gold, ranks = [], []
        for query in queries["query_id"]:
            gold.append([name for name, grade in dataset.qrels[query].items() if grade > 0])
            places = {name: place for place, name in enumerate(rankings[query].documents, start=1)}
            ranks.append([places.get(name) for name in gold[-1]])
        first = [min((rank for rank in each if rank is not None), default=None) for each in ranks]
        return queries.assign(
            query=queries["query_id"].map(texts),
            gold=pd.Series(gold, dtype=object),
            gold_ranks=pd.Series(ranks, dtype=object),
            first_rank=pd.array(first, dtype="Int64"),
        )
