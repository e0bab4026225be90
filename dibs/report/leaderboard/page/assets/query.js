// One query of a record: what was asked, the gold pages and where they were ranked, what was ranked first, and
// what was answered.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const { h } = preact;
  const place = document.getElementById("query");
  const asked = new URLSearchParams(location.search);
  const fail = (message) => DIBS.show(place, h("h1", null, "A query"), h("p", { role: "alert" }, message));
  try {
    const { records, answers } = await DIBS.load("records");
    const record = records.find((one) => one.hash === asked.get("record"));
    if (!record) return fail("There is no such record here.");
    const [mine, shared] = await Promise.all([DIBS.load(`record-${record.hash}`), DIBS.load(`board-${record.slug}`)]);
    const at = shared.queries.indexOf(asked.get("query"));
    if (at < 0) return fail("The record has no such query.");
    const ranked = mine.ranked ? mine.ranked[at] : [];
    const gold = shared.gold ? shared.gold[at] : [];
    const texts = await loadTexts(shared, record.slug, [...ranked, ...gold]);
    const named = [...(answers[record.hash] || []), ...(answers[`task:${record.board}`] || [])];
    const said = await Promise.all(named.map(DIBS.load));
    const id = shared.queries[at];
    const text = shared.texts ? shared.texts[at] : null;
    document.title = `${id} · ${record.pipeline} · DIBS`;
    DIBS.show(place,
      h("p", { class: "crumbs" }, h("a", { href: `task-${record.slug}.html` }, record.board), " › ",
        h("a", { href: `record-${record.hash}.html` }, record.pipeline)),
      h("h1", null, id),
      text === null
        ? h("p", { class: "faint" }, "Texts are not on these pages: dibs leaderboard --site --texts puts them there.")
        : h("p", { class: "question", dir: "auto" }, text),
      shared.answers && shared.answers[at] ? h("p", { dir: "auto" }, h("b", null, "Gold answer: "), shared.answers[at]) : null,
      h("dl", { class: "facts" }, Object.entries(mine.values).map(([name, values]) =>
        h("div", null, h("dt", null, name), h("dd", null, DIBS.percent(values[at])))),
        h("div", null, h("dt", null, "Stage"), h("dd", null, mine.stages[mine.stage[at]]))),
      neighbours(shared, record, at),
      gold.length ? h("section", null, h("h2", null, "Gold pages"),
        h("ol", { class: "pages" }, gold.map((name, n) => page(shared.documents[name], texts.get(name), text,
          mine.goldRanks && mine.goldRanks[at][n] ? `ranked ${mine.goldRanks[at][n]}` : `not among the first ${mine.depth || "ranked"}`, true)))) : null,
      h("section", null, h("h2", null, "Ranked pages"),
        mine.ranked ? null : h("p", null, "The record's run is damaged; see the leaderboard's notes."),
        h("ol", { class: "pages" }, ranked.map((name, n) => page(shared.documents[name], texts.get(name), text,
          `${n + 1}. score ${mine.scores[at][n]}`, gold.includes(name))))),
      said.some((one) => one.rows[id]) ? h("section", null, h("h2", null, "Answers"),
        said.filter((one) => one.rows[id]).map((one) => answer(one, one.rows[id]))) : null,
      elsewhere(records, record, id));
  } catch (error) {
    fail(`The query cannot be shown: ${error.message}.`);
  }

  async function loadTexts(shared, slug, names) {
    const found = new Map();
    if (!shared.texts) return found;
    await Promise.all(names.map(async (name) => {
      const group = await DIBS.load(`texts-${slug}-${Math.floor(name / shared.group)}`);
      found.set(name, group[name % shared.group]);
    }));
    return found;
  }

  function page(name, content, query, told, isGold) {
    return h("li", { class: isGold ? "gold" : null },
      h("p", null, h("b", null, told), " ", h("code", null, name), isGold ? h("span", { class: "tag" }, "gold") : null),
      content ? h("details", null, h("summary", null, excerpt(content, query)),
        content.title ? h("p", { dir: "auto" }, h("b", null, content.title)) : null,
        h("div", { class: "text", dir: "auto", tabIndex: 0, role: "group", "aria-label": `Text of ${name}` }, marked(content.text, query))) : null);
  }

  function terms(query) {
    const found = (query || "").toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) || [];
    const common = new Set("the and for are was were what which with from that this does has have had how its you your not but any can".split(" "));
    return new Set(found.filter((term) => !common.has(term)));
  }

  /** The text with the query's words marked. */
  function marked(text, query) {
    const wanted = terms(query);
    return text.split(/([\p{L}\p{N}]+)/u).map((part) => (wanted.has(part.toLowerCase()) ? h("mark", null, part) : part));
  }

  /** The part of the text with most of the query's words, to see at a glance. */
  function excerpt(content, query) {
    const text = content.text.replace(/\s+/g, " ").trim();
    const wanted = terms(query);
    const length = 320;
    let best = 0;
    let most = -1;
    for (let begin = 0; begin < Math.max(1, text.length - length / 2); begin += length / 2) {
      const words = new Set(text.slice(begin, begin + length).toLowerCase().match(/[\p{L}\p{N}]+/gu) || []);
      const count = [...wanted].filter((term) => words.has(term)).length;
      if (count > most) [best, most] = [begin, count];
    }
    const part = text.slice(best, best + length);
    return h("bdi", null, best ? "…" : "", marked(part, query), best + length < text.length ? "…" : "");
  }

  function answer(about, row) {
    const verdict = row.verdict || "unscored";
    return h("article", { class: "card" },
      h("h3", null, `${about.arm}, ${about.generator} `, h("span", { class: `tag ${verdict}` }, verdict)),
      h("p", { class: "answer", dir: "auto" }, row.error ? `No answer: ${row.error}` : row.answer),
      h("p", { class: "faint" }, `${about.judge}: ${row.reason}`, blame(row)));
  }

  function blame(row) {
    if (row.verdict === "correct" || row.verdict === null || row.gold === null) return "";
    return row.gold ? " Stage to blame: the generator, which was given a gold page." : " Stage to blame: retrieval, no gold page was given.";
  }

  function neighbours(shared, record, at) {
    const link = (to, words) => (shared.queries[to] === undefined ? null : h("a", { href: DIBS.query(record.hash, shared.queries[to]) }, words));
    return h("nav", { class: "crumbs", "aria-label": "Queries" }, link(at - 1, "← previous query"), " ", link(at + 1, "next query →"));
  }

  function elsewhere(records, record, id) {
    const others = records.filter((one) => one.board === record.board && one !== record);
    return others.length ? h("section", null, h("h2", null, "The same query in other records"),
      h("ul", null, others.map((one) => h("li", null, h("a", { href: DIBS.query(one.hash, id) }, one.pipeline))))) : null;
  }
});
