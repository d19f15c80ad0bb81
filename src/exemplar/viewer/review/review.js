"use strict";

const byId = (id) => document.getElementById(id);
const FILTERS = ["decision", "status", "sort", "limit"];
const number = new Intl.NumberFormat("en");

let view = { decision: "all", status: "", sort: "error_after", limit: "24", offset: "0" };
let rows = [], cards = [], more = false, sizes = [240, 480];
let counts = { status: {}, decision: {} };
let selected = 0, newest = 0;
let undoable = [];
let saving = Promise.resolve();

// Talking to the server ------------------------------------------------------------------------

async function ask(address, options) {
  let reply;
  try {
    reply = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer, so nothing is saved: start the review again.");
  }
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.error);
  return content;
}

function tell(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
  if (problem) byId("large").close();  // it would hide the line
}

async function load() {
  const mine = ++newest;
  history.replaceState(null, "", "#" + new URLSearchParams(view));
  const { offset, ...filters } = view;
  try {
    const found = await ask("rows?" + new URLSearchParams({ ...filters, offset }));
    if (mine !== newest) return;
    ({ rows, more, counts, sizes } = found);
    document.title = "Review " + found.title;
    byId("title").textContent = found.title;
    tell("");
  } catch (error) {
    if (mine === newest) tell(error.message);
    return;
  }
  if (!rows.length && Number(view.offset) > 0) {
    view.offset = String(Math.max(0, Number(view.offset) - Number(view.limit)));
    return load();
  }
  drawGrid();
}

// Decisions go out one after another, in the order in which they were made.
function post(row, decision, failed) {
  const body = JSON.stringify({ id: row.id, decision });
  const headers = { "Content-Type": "application/json" };
  saving = saving.then(async () => {
    try {
      counts = (await ask("decisions", { method: "POST", headers, body })).counts;
      drawCounts();
    } catch (error) {
      failed();
      tell(`${row.image}: ${error.message}`);
    }
  });
}

function save(index, decision) {
  const row = rows[index], before = row.decision;
  row.decision = decision;
  mark(index);
  post(row, decision, () => {
    row.decision = before;
    if (rows[index] === row) mark(index);
  });
}

function decide(indices, decision) {
  const changed = indices.filter((i) => rows[i].decision !== decision);
  if (!changed.length) return;
  undoable.push(changed.map((i) => ({ row: rows[i], before: rows[i].decision })));
  changed.forEach((i) => save(i, decision));
}

function undo() {
  for (const { row, before } of undoable.pop() ?? []) {
    const place = rows.findIndex((other) => other.id === row.id);
    if (place < 0) {
      post(row, before, () => {});
    } else {
      save(place, before);
      select(place);
    }
  }
}

// Drawing --------------------------------------------------------------------------------------

const pixels = (value) => value.toFixed(1);

function fill(card, row, size, lazy) {
  const find = (name) => card.querySelector(name);
  const image = find("img");
  image.loading = lazy ? "lazy" : "eager";
  image.alt = `${row.image}: keypoints, fit, and fit from the side`;
  image.onerror = () => lost(find(".picture"), image);
  image.src = `pictures/${row.id}?size=${size}`;
  const person = row.annotation_id === null ? "" : ` · ${row.annotation_id}`;
  find(".name").textContent = row.image + person + (row.subject ? ` · ${row.subject}` : "");
  find(".name").title = `${row.image} (sample ${row.id})`;
  find(".status").textContent = row.status.replaceAll("_", " ");
  find(".status").classList.add(row.status === "ok" ? "ok" : row.message ? "bad" : "other");
  if (row.error_after !== null) {
    const after = document.createElement("b");
    after.textContent = `${pixels(row.error_after)} px`;
    const before = row.error_before === null ? "" : `${pixels(row.error_before)} → `;
    find(".error").append(`2D error ${before}`, after);
  }
  find(".loss").textContent = row.loss === null ? "" : `loss ${row.loss.toPrecision(2)}`;
  const kept = row.kept_iteration < row.iterations ? `${row.kept_iteration} of ` : "";
  find(".updates").textContent = row.iterations ? `${kept}${row.iterations} updates` : "";
  find(".message").textContent = row.message;
}

async function lost(place, image) {
  place.classList.add("lost");
  try {
    await ask(image.src);
    place.textContent = "no picture";
  } catch (error) {
    place.textContent = `no picture: ${error.message}`;
  }
}

function newCard(index, size, lazy) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  fill(card, rows[index], size, lazy);
  card.querySelector(".accept").onclick = () => press(index, "accepted");
  card.querySelector(".reject").onclick = () => press(index, "rejected");
  return card;
}

// A button that is already pressed lets go of the decision.
function press(index, decision) {
  select(index);
  decide([index], rows[index].decision === decision ? "" : decision);
}

function drawGrid() {
  cards = rows.map((_, index) => {
    const card = newCard(index, sizes[0], true);
    card.querySelector(".picture").onclick = () => { select(index); enlarge(); };
    card.addEventListener("click", () => select(index));
    return card;
  });
  const grid = byId("grid");
  grid.replaceChildren(...cards);
  if (!rows.length) {
    const nothing = document.createElement("p");
    const empty = !Object.keys(counts.status).length;
    nothing.textContent = empty ? "Nothing has been fitted yet." : "Nothing matches.";
    grid.append(nothing);
  }
  rows.forEach((_, index) => mark(index));
  drawCounts();
  scrollTo(0, 0);
  select(0);
}

function mark(index) {
  const { decision } = rows[index];
  const shown = [cards[index]];
  if (index === selected && byId("large").open) shown.push(byId("large").firstElementChild);
  for (const card of shown) {
    for (const name of ["accepted", "rejected"]) card.classList.toggle(name, decision === name);
    card.querySelector(".accept").setAttribute("aria-pressed", decision === "accepted");
    card.querySelector(".reject").setAttribute("aria-pressed", decision === "rejected");
  }
}

function fits(decision) {
  return view.decision === "all" || view.decision === (decision || "undecided");
}

// How many samples the list has, or null where the counts do not tell.
function listed() {
  const sum = (of) => Object.values(of).reduce((a, b) => a + b, 0);
  const gone = rows.filter((row) => !fits(row.decision)).length;
  if (view.decision === "all") return view.status ? (counts.status[view.status] ?? 0) : sum(counts.status);
  if (view.status) return null;
  return (counts.decision[view.decision === "undecided" ? "" : view.decision] ?? 0) + gone;
}

function drawCounts() {
  const { "": undecided = 0, accepted = 0, rejected = 0 } = counts.decision;
  const all = undecided + accepted + rejected;
  byId("accepted").style.width = `${(100 * accepted) / Math.max(all, 1)}%`;
  byId("rejected").style.width = `${(100 * rejected) / Math.max(all, 1)}%`;
  byId("counts").textContent =
    `${number.format(accepted + rejected)} of ${number.format(all)} decided: ` +
    `${number.format(accepted)} accepted, ${number.format(rejected)} rejected, ` +
    `${number.format(undecided)} undecided`;
  drawStatuses();
  drawRange();
  byId("rest").disabled = !rows.some((row) => !row.decision);
}

function drawRange() {
  const offset = Number(view.offset), total = listed();
  const shown = `${number.format(offset + 1)}–${number.format(offset + rows.length)}`;
  const text = rows.length ? shown + (total === null ? "" : ` of ${number.format(total)}`) : "none";
  document.querySelectorAll(".range").forEach((e) => { e.textContent = text; });
  document.querySelectorAll(".previous").forEach((e) => { e.disabled = offset === 0; });
  document.querySelectorAll(".next").forEach((e) => { e.disabled = !more; });
}

function drawStatuses() {
  const known = { ...(view.status && { [view.status]: 0 }), ...counts.status };
  const options = Object.entries(known).map(
    ([name, count]) => new Option(`${name.replaceAll("_", " ")} (${number.format(count)})`, name));
  byId("status").replaceChildren(new Option("any", ""), ...options);
  byId("status").value = view.status;
}

// Moving about ---------------------------------------------------------------------------------

function select(index) {
  cards[selected]?.classList.remove("selected");
  cards[selected]?.removeAttribute("aria-current");
  selected = Math.max(0, Math.min(index, cards.length - 1));
  cards[selected]?.classList.add("selected");
  cards[selected]?.setAttribute("aria-current", "true");
  cards[selected]?.scrollIntoView({ block: "nearest" });
  if (byId("large").open) enlarge();
}

function columns() {
  const top = cards[0]?.offsetTop;
  const below = cards.findIndex((card) => card.offsetTop !== top);
  return below < 0 ? cards.length : below;
}

function enlarge() {
  if (!cards.length) return;
  const large = byId("large"), card = newCard(selected, sizes[1], false);
  card.querySelector(".picture").onclick = () => large.close();
  large.replaceChildren(card);
  if (!large.open) large.showModal();
  mark(selected);
  card.focus();
}

// Samples that no longer match have left the list that the server counts through.
function nextOffset() {
  return Number(view.offset) + rows.filter((row) => fits(row.decision)).length;
}

async function turn(forward) {
  await saving;
  const offset = Number(view.offset);
  if (forward ? !more : offset === 0) return;
  byId("large").close();
  view.offset = String(forward ? nextOffset() : Math.max(0, offset - Number(view.limit)));
  await load();
}

function decideAndMove(decision) {
  if (!rows.length) return;
  decide([selected], decision);
  if (selected < cards.length - 1) select(selected + 1);
}

function acceptRest() {
  decide(rows.flatMap((row, index) => (row.decision ? [] : [index])), "accepted");
}

const KEYS = {
  ArrowRight: () => select(selected + 1), j: () => select(selected + 1),
  ArrowLeft: () => select(selected - 1), k: () => select(selected - 1),
  ArrowDown: () => select(selected + (byId("large").open ? 1 : columns())),
  ArrowUp: () => select(selected - (byId("large").open ? 1 : columns())),
  Home: () => select(0), End: () => select(cards.length - 1),
  a: () => decideAndMove("accepted"), r: () => decideAndMove("rejected"),
  c: () => rows.length && decide([selected], ""),
  A: acceptRest, u: undo, n: () => turn(true), p: () => turn(false),
  Escape: () => byId("large").close(),
  Enter: () => (byId("large").open ? byId("large").close() : enlarge()),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("select")) return;
  if (event.key === "Enter" && event.target.closest("button")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

for (const name of FILTERS) {
  byId(name).addEventListener("change", (event) => {
    view[name] = event.target.value;
    view.offset = "0";
    event.target.blur();
    saving.then(() => load());
  });
}
document.querySelectorAll(".next").forEach((e) => { e.onclick = () => turn(true); });
document.querySelectorAll(".previous").forEach((e) => { e.onclick = () => turn(false); });
byId("rest").onclick = acceptRest;

for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
  if (name in view) view[name] = value;
}
for (const name of FILTERS) byId(name).value = view[name];
load();
