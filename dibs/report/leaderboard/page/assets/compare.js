// Two records on the same queries: the paired difference, and the queries that one of them wins.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const { h } = preact;
  const place = document.getElementById("compare");
  const { records } = await DIBS.load("records");
  const asked = new URLSearchParams(location.search);
  const find = (hash) => records.find((record) => record.hash === hash);
  const a = find(asked.get("a"));
  const b = find(asked.get("b"));
  const boards = [...new Set(records.map((record) => record.board))];
  const start = records.filter((record) => record.board === records[0]?.board);
  const options = (chosen) => boards.map((board) => h("optgroup", { label: board },
    records.filter((record) => record.board === board).map((record) =>
      h("option", { value: record.hash, selected: record === chosen }, record.pipeline))));
  const form = h("form", { class: "filters", method: "get", action: "compare.html" },
    h("label", null, "First ", h("select", { name: "a" }, options(a || start[0]))),
    h("label", null, "Second ", h("select", { name: "b" }, options(b || start[1]))),
    h("button", { type: "submit" }, "Compare"));
  const show = (...rest) => DIBS.show(place, form, ...rest);
  if (!a || !b) return show(h("p", null, "Choose two records of one task."));
  if (a.board !== b.board || a === b) return show(h("p", { role: "alert" }, "These cannot be compared: choose two different records of one task."));
  try {
    const [mine, other, shared] = await Promise.all(
      [`record-${a.hash}`, `record-${b.hash}`, `board-${a.slug}`].map(DIBS.load));
    const found = difference(shared.pairs, a, b);
    const rows = shared.queries.map((id, at) => ({
      id,
      text: shared.texts && shared.texts[at],
      a: mine.values[a.main][at],
      b: other.values[a.main][at],
      stages: [mine.stages[mine.stage[at]], other.stages[other.stage[at]]],
    }));
    const won = rows.filter((row) => row.a > row.b);
    const lost = rows.filter((row) => row.a < row.b);
    document.title = `${a.pipeline} and ${b.pipeline} on ${a.board} · DIBS`;
    const page = (record) => h("a", { href: `record-${record.hash}.html` }, record.pipeline);
    show(
      h("p", { class: "lead" }, page(a), ` (${DIBS.percent(a.value)}) less `, page(b), ` (${DIBS.percent(b.value)}) on ${a.board}, ${a.main}:`),
      h("p", { class: "difference" }, h("b", null, DIBS.signed(found.value)),
        found.low === null ? null : h("span", null, ` [${DIBS.signed(found.low)}, ${DIBS.signed(found.high)}]`),
        h("span", { class: "faint" }, ` p = ${found.p.toPrecision(2)} of the paired test, this pair alone`)),
      h("ul", { class: "stages" },
        h("li", null, h("b", null, found.won), " won by the first"),
        h("li", null, h("b", null, found.lost), " won by the second"),
        h("li", null, h("b", null, found.tied), " equal")),
      section("won", "Won by the first", won, 1, b), section("lost", "Won by the second", lost, 0, a));
    fill("won", won, a, [1, 0]);
    fill("lost", lost, b, [0, 1]);
  } catch (error) {
    show(h("p", { role: "alert" }, `These cannot be compared: ${error.message}.`));
  }

  function section(id, title, rows, loser, record) {
    const counts = new Map();
    for (const row of rows) counts.set(row.stages[loser], (counts.get(row.stages[loser]) || 0) + 1);
    const stages = [...counts].sort((x, y) => y[1] - x[1]);
    return h("section", null, h("h2", null, `${title} (${rows.length.toLocaleString("en")})`),
      stages.length ? h("p", null, `What ${record.pipeline} lacked there:`) : null,
      h("ul", { class: "stages" }, stages.map(([stage, count]) => h("li", null, h("b", null, count), ` ${stage}`))),
      h("div", { id }));
  }

  function fill(id, rows, winner, [loser]) {
    const cells = rows.map((row) => ({ id: row.id, text: row.text, cells: [row.a, row.b, row.stages[loser]] }));
    const caption = id === "won" ? "Queries that the first wins" : "Queries that the second wins";
    DIBS.queries(document.getElementById(id), caption, winner.hash, ["First", "Second", "What the other lacked"], cells, [[id === "won" ? 0 : 1, "desc"]]);
  }

  function difference(pairs, one, two) {
    const found = pairs[`${one.hash}-${two.hash}`];
    if (found) return found;
    const turned = pairs[`${two.hash}-${one.hash}`];
    const minus = (value) => (value === null ? null : -value);
    return { ...turned, value: minus(turned.value), low: minus(turned.high), high: minus(turned.low), won: turned.lost, lost: turned.won };
  }
});
