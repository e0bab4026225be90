// A record's page: its queries, with their measures and what kept them from being found.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const place = document.getElementById("queries");
  const { record, board, main } = place.dataset;
  try {
    const [mine, shared] = await Promise.all([DIBS.load(`record-${record}`), DIBS.load(`board-${board}`)]);
    const measures = Object.keys(mine.values);
    const rows = shared.queries.map((id, at) => ({
      id,
      text: shared.texts && shared.texts[at],
      cells: [...measures.map((name) => mine.values[name][at]), mine.stages[mine.stage[at]]],
    }));
    DIBS.queries(place, "Queries, those with the least first", record, [...measures, "Stage"], rows, [[measures.indexOf(main), "asc"]]);
  } catch (error) {
    place.textContent = `The queries cannot be shown: ${error.message}.`;
  }
});
