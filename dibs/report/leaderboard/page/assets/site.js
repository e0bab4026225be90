// What every page needs: data that is loaded when it is asked for, tables that sort and filter, and the choice
// of two records to compare. Texts are only ever put in as text: Preact and DataTable.render.text() escape.
"use strict";

const DIBS = (() => {
  const received = new Map();
  const waiting = new Map();

  /** Called by each data file with what it holds. */
  function receive(name, value) {
    received.set(name, value);
  }

  /** The content of data/NAME.js; a page opened from disk may load scripts, but not fetch files. */
  function load(name) {
    if (received.has(name)) return Promise.resolve(received.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.onload = () => resolve(received.get(name));
        script.onerror = () => reject(new Error(`data/${name}.js is not here`));
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  }

  const words = {
    search: "Search",
    searchPlaceholder: "",
    lengthMenu: "Rows _MENU_",
    info: "_START_ to _END_ of _TOTAL_",
    infoEmpty: "none",
    infoFiltered: "(filtered from _MAX_)",
    zeroRecords: "Nothing matches.",
    emptyTable: "Nothing to show.",
  };

  /** A table that sorts; long ones are cut into pages and can be searched. */
  function table(element, options) {
    const made = new DataTable(element, {
      autoWidth: false,
      language: words,
      lengthMenu: [25, 50, 100, { label: "all", value: -1 }],
      pageLength: 50,
      layout: { topStart: "search", topEnd: "info", bottomStart: "pageLength", bottomEnd: "paging" },
      ...options,
    });
    // What is wider than the screen scrolls by itself, by keyboard too.
    const around = made.table().container().querySelector(".dt-layout-table");
    around.tabIndex = 0;
    around.setAttribute("role", "region");
    const caption = made.table().node().caption.textContent;
    around.setAttribute("aria-label", caption);
    made.table().container().querySelector("nav")?.setAttribute("aria-label", `Pages of ${caption}`);
    return made;
  }

  /** Put what Preact made in the place of whatever is there. */
  function show(place, ...content) {
    preact.render(null, place);
    place.replaceChildren();
    preact.render(preact.h(preact.Fragment, null, ...content), place);
  }

  const percent = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
  const signed = (value) => (value === null ? "–" : (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(3));
  const query = (record, id) => `query.html?record=${encodeURIComponent(record)}&query=${encodeURIComponent(id)}`;

  /** A table of queries: rows of { id, text, cells }, with a link to each query's page. */
  function queries(place, caption, record, headings, rows, order) {
    const { h } = preact;
    const withTexts = rows.some((row) => row.text !== null);
    const names = ["Query", ...(withTexts ? ["Text"] : []), ...headings];
    const id = `${place.id}-table`;
    show(place, h("table", { id, class: "table" }, h("caption", null, caption),
      h("thead", null, h("tr", null, names.map((name) => h("th", { scope: "col" }, name))))));
    const safe = DataTable.render.text();
    const columns = names.map((name, at) => ({
      cellType: at === 0 ? "th" : "td",
      render: (data, type) => (type !== "display" ? data : typeof data === "number" ? percent(data) : safe.display(data)),
    }));
    columns[0].render = (data, type) => {
      if (type !== "display") return data;
      const link = document.createElement("a");
      link.href = query(record, data);
      link.textContent = data;
      return link;
    };
    columns[0].createdCell = (cell) => cell.setAttribute("scope", "row");
    const data = rows.map((row) => [row.id, ...(withTexts ? [row.text] : []), ...row.cells]);
    const shift = withTexts ? 2 : 1;
    return table(`#${CSS.escape(id)}`, {
      data, columns, deferRender: true, order: order.map(([at, way]) => [at + shift, way]), pageLength: 25,
    });
  }

  function filters(form) {
    const made = DataTable.tables({ api: true }).table(`#${form.dataset.filters}`);
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const select of form.querySelectorAll("select")) {
      select.addEventListener("change", () => {
        made.column(Number(select.dataset.column)).search(select.value, { exact: Boolean(select.value) }).draw();
      });
    }
  }

  /** Two records of one task that are ticked can be compared. */
  function picker() {
    const boxes = [...document.querySelectorAll("input[data-compare]")];
    if (!boxes.length) return;
    const bar = document.createElement("div");
    bar.className = "picker";
    bar.setAttribute("role", "status");
    document.body.append(bar);
    document.addEventListener("change", (event) => {
      if (!event.target.matches("input[data-compare]")) return;
      const chosen = boxes.filter((box) => box.checked);
      for (const box of boxes) {
        box.disabled = !box.checked && (chosen.length === 2 || (chosen.length === 1 && box.dataset.board !== chosen[0].dataset.board));
      }
      bar.replaceChildren();
      bar.hidden = !chosen.length;
      if (chosen.length === 1) bar.append(`Choose another pipeline on ${chosen[0].dataset.board} to compare it with.`);
      if (chosen.length === 2) {
        const link = document.createElement("a");
        link.className = "button";
        link.href = `compare.html?a=${chosen[0].dataset.compare}&b=${chosen[1].dataset.compare}`;
        link.textContent = "Compare the two";
        bar.append(link);
      }
    });
    bar.hidden = true;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll("table[data-table]")) {
      const plain = element.dataset.table === "plain";
      table(element, {
        order: [],
        paging: !plain && element.rows.length > 60,
        ...(plain ? { layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null } } : {}),
      });
    }
    document.querySelectorAll("form[data-filters]").forEach(filters);
    picker();
  });

  return { receive, load, show, table, queries, percent, signed, query };
})();
