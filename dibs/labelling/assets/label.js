"use strict";

// Texts come from documents that nobody vouches for: they are put in with textContent and nothing else.
(() => {
  const at = (id) => document.getElementById(id);
  let state = null;
  let busy = false;

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function marked(pieces) {
    return pieces.map(([text, isMarked]) => (isMarked ? element("mark", text) : document.createTextNode(text)));
  }

  function show(now) {
    const moved = !state || !state.item || !now.item || state.item.place !== now.item.place;
    state = now;
    const item = now.item;
    document.title = `Label ${now.task}`;
    at("task").textContent = now.task;
    at("progress").textContent = item ? item.progress : `${now.judged} judged`;
    at("query").textContent = item ? item.query : "That was the last document.";
    at("answer").textContent = item && item.answer ? `Answer: ${item.answer}` : "";
    at("answer").hidden = !at("answer").textContent;
    at("title").replaceChildren(...marked(item ? item.title : []));
    at("text").replaceChildren(...marked(item ? item.text : []));
    at("name").textContent = item ? item.document : "";
    at("document").hidden = !item;
    if (moved) at("document").scrollTop = 0;
    at("said").textContent = item ? Object.entries(item.others).map(([who, grade]) => `${who} said ${now.grades[grade] ?? grade}.`).join(" ") : "";
    at("problem").textContent = now.problem;
    at("problem").hidden = !now.problem;
    at("grades").replaceChildren(...(item ? now.grades.map((meaning, grade) => gradeButton(meaning, grade, item.grade)) : []));
    at("skip").hidden = !item;
  }

  function gradeButton(meaning, grade, said) {
    const button = element("button", `${meaning} `);
    button.type = "button";
    button.append(element("kbd", String(grade)));
    button.setAttribute("aria-keyshortcuts", String(grade));
    button.setAttribute("aria-pressed", String(grade === said));
    button.addEventListener("click", () => act("judge", grade));
    return button;
  }

  async function request(path, body) {
    const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const reply = await fetch(path, options);
    if (![200, 409, 507].includes(reply.status)) throw new Error(`the server says ${reply.status}`);
    return reply.json();
  }

  async function act(name, grade) {
    if (busy || !state) return;
    busy = true;
    const focused = document.activeElement && document.activeElement.closest("#grades") ? at("document") : null;
    try {
      show(await request("act", { act: name, grade, place: state.item ? state.item.place : null }));
      if (focused) focused.focus();
      if (name === "stop") end();
    } catch (error) {
      lost(error);
    }
    busy = false;
  }

  function end() {
    at("document").hidden = true;
    document.querySelector("footer").hidden = true;
    at("answer").hidden = true;
    at("said").textContent = "";
    at("query").textContent = "Stopped. This window can be closed.";
    state = null;
  }

  function lost(error) {
    at("problem").textContent = `Nothing was written: ${error.message}. Is the command still running?`;
    at("problem").hidden = false;
  }

  for (const name of ["skip", "back", "stop"]) at(name).addEventListener("click", () => act(name));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !state) return;
    const key = event.key.toLowerCase();
    const grade = { n: 0, y: 1, 0: 0, 1: 1, 2: 2 }[key];
    if (grade !== undefined && state.item && grade < state.grades.length) act("judge", grade);
    else if (key === "s" && state.item) act("skip");
    else if (key === "b") act("back");
  });
  request("state").then(show, lost);
})();
