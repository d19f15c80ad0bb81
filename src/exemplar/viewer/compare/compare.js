"use strict";

const byId = (id) => document.getElementById(id);
const AHEAD = 2;

let annotator = STUDY.annotator;
let at = 0, looked = false, ready = 0, shownAt = 0;
let votes = new Map();  // by pair: { left, right, choice, ... }
let saving = Promise.resolve();

const pairName = (person) => person.bodies.join(" ");

// Which of the pair is on the left: even odds, and the same whenever this voter comes back.
// (FNV-1a, then the finish of MurmurHash3, as the last bits of FNV follow the last letters.)
function swapped(voter, bodies) {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(`${voter}|${bodies.join("|")}`)) {
    hash = Math.imul(hash ^ byte, 16777619);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) & 1) === 1;
}

function sides(person) {
  const [a, b] = person.bodies;
  return swapped(annotator, person.bodies) ? { left: b, right: a } : { left: a, right: b };
}

// Votes: to the server that serves the page, or into the browser's own store -------------------

function tell(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
}

async function ask(address, options) {
  let reply;
  try {
    reply = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer, so nothing is saved: start exemplar compare again.");
  }
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.error);
  return content;
}

const storeName = () => `exemplar compare ${STUDY.id} ${annotator}`;

async function former() {
  if (STUDY.live) return (await ask("votes?" + new URLSearchParams({ annotator }))).votes;
  try {
    return JSON.parse(localStorage.getItem(storeName()) ?? "[]");
  } catch {
    return [];
  }
}

async function keep(vote) {
  if (STUDY.live) {
    const headers = { "Content-Type": "application/json" };
    await ask("votes", { method: "POST", headers, body: JSON.stringify(vote) });
    return;
  }
  try {
    localStorage.setItem(storeName(), JSON.stringify([...votes.values()]));
  } catch {
    throw new Error("This browser keeps nothing for this page: download your votes before you close it.");
  }
}

function save(person, vote) {
  const before = votes.get(pairName(person));
  votes.set(pairName(person), vote);
  saving = saving.then(async () => {
    try {
      await keep(vote);
    } catch (error) {
      tell(error.message);
      if (!STUDY.live) return;
      if (before) votes.set(pairName(person), before); else votes.delete(pairName(person));
      show(STUDY.people.indexOf(person));
    }
  });
}

function download() {
  const blob = new Blob([JSON.stringify([...votes.values()], null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `votes-${annotator.replace(/[^\p{L}\p{N}]+/gu, "_")}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

// Showing --------------------------------------------------------------------------------------

const picture = (name, view) => `pictures/${name}-${view}.jpg`;

function load(id, address) {
  const image = byId(id).querySelector("img"), mine = at;
  image.style.visibility = "hidden";  // or the last person's would stand beside this one's
  image.onload = () => {
    image.style.visibility = "";
    if (mine === at && ++ready === 3) shownAt = performance.now();
  };
  image.onerror = () => tell(`a picture cannot be shown (${address})`);
  image.src = address;
}

function show(place) {
  at = place;
  const person = STUDY.people[place];
  byId("study").hidden = !person;
  byId("end").hidden = Boolean(person);
  drawProgress();
  if (!person) {
    byId("end").textContent = STUDY.live
      ? "That was everybody. All votes are saved: thank you."
      : "That was everybody: thank you. Please download your votes and send the file back.";
    return;
  }
  looked = false;
  ready = 0;
  shownAt = 0;
  load("photo", picture(person.photo, "photo"));
  drawBodies(false);
  const choice = votes.get(pairName(person))?.choice;
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", button.dataset.choice === choice);
  }
  for (const next of STUDY.people.slice(place + 1, place + 1 + AHEAD)) {
    for (const address of [picture(next.photo, "photo"), ...next.bodies.map((b) => picture(b, "plain"))]) {
      new Image().src = address;
    }
  }
}

function drawBodies(overlay) {
  const { left, right } = sides(STUDY.people[at]);
  byId("overlay").setAttribute("aria-pressed", overlay);
  load("left", picture(left, overlay ? "overlay" : "plain"));
  load("right", picture(right, overlay ? "overlay" : "plain"));
}

function drawProgress() {
  const done = STUDY.people.filter((person) => votes.has(pairName(person))).length;
  byId("done").style.width = `${(100 * done) / STUDY.people.length}%`;
  const place = at < STUDY.people.length ? `${at + 1} of ${STUDY.people.length} · ` : "";
  byId("place").textContent = `${place}${done} voted`;
  byId("back").disabled = at === 0;
  byId("overlay").disabled = at >= STUDY.people.length;
}

// Voting ---------------------------------------------------------------------------------------

function choose(choice) {
  const person = STUDY.people[at];
  if (!person || ready < 3) return;  // nobody votes on what is not there yet
  const seconds = Math.round(10 * (performance.now() - shownAt) / 1000) / 10;
  const time = new Date().toISOString().slice(0, 19) + "Z";
  tell("");
  save(person, { annotator, ...sides(person), choice, overlay: looked, seconds, time });
  show(at + 1);
}

function toggleOverlay() {
  if (at >= STUDY.people.length) return;
  looked = true;
  drawBodies(byId("overlay").getAttribute("aria-pressed") !== "true");
}

function back() {
  if (at > 0) show(at - 1);
}

const KEYS = {
  1: () => choose("left"), 2: () => choose("right"), 0: () => choose("none"),
  o: toggleOverlay, u: back,
};

async function begin() {
  byId("asking").hidden = true;
  byId("who").textContent = annotator;
  byId("download").hidden = STUDY.live;
  try {
    for (const vote of await former()) votes.set([vote.left, vote.right].sort().join(" "), vote);
  } catch (error) {
    tell(error.message);
    return;
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (!KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  const open = STUDY.people.findIndex((person) => !votes.has(pairName(person)));
  show(open < 0 ? STUDY.people.length : open);
}

function start() {
  document.querySelectorAll("[data-choice]").forEach((e) => { e.onclick = () => choose(e.dataset.choice); });
  byId("overlay").onclick = toggleOverlay;
  byId("back").onclick = back;
  byId("download").onclick = download;
  byId("asking").onsubmit = (event) => {
    event.preventDefault();
    annotator = byId("name").value.trim();
    if (annotator) begin();
  };
  if (annotator) begin(); else byId("asking").hidden = false;
}

start();
