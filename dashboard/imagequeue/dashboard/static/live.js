// Keeps a page live while it is looked at: the server sends it anew when it changed, and the changed parts are put in
// place. Where server-sent events do not come through, the page is asked for every three seconds instead.
// The parts are the server's own escaped markup; a document made by DOMParser runs no scripts.
"use strict";

const LIVE_MS = 3000;
const LATE_MS = 3 * LIVE_MS;
const state = document.getElementById("live-state");
const shown = new Map();
let source = null;
let heard = Date.now();

function inOwnZone(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.getTime())) {
      time.title = time.textContent;
      time.textContent = when.toLocaleString();
    }
  }
}

function ids(root) {
  return Array.from(root.querySelectorAll("[data-live]"), (part) => part.id).join();
}

function replaceChanged(fresh) {
  if (ids(fresh) !== ids(document)) {
    const content = document.importNode(fresh.getElementById("content"), true);
    inOwnZone(content);
    document.getElementById("content").replaceWith(content);
    return;
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = fresh.getElementById(part.id);
    if (!newer || shown.get(part.id) === newer.innerHTML || part.contains(document.activeElement)) continue;
    shown.set(part.id, newer.innerHTML);
    const copy = document.importNode(newer, true);
    inOwnZone(copy);
    part.replaceWith(copy);
  }
}

function tell(text, bad) {
  if (!state || state.textContent === text) return;
  state.textContent = text;
  state.className = bad ? "bad" : "";
}

function tellLost() {
  const seconds = Math.round((Date.now() - heard) / 1000);
  tell("Not live: the page cannot be reached. Figures are those of " + seconds + " s ago.", true);
}

function show(page, ok) {
  heard = Date.now();
  replaceChanged(new DOMParser().parseFromString(page, "text/html"));
  tell(ok ? "Live" : "Not live: see above.", !ok);
}

function listen() {
  if (source) return;
  source = new EventSource("/dashboard/live?page=" + encodeURIComponent(location.pathname + location.search));
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    show(told.page, told.ok);
  };
  source.addEventListener("same", () => { heard = Date.now(); });
}

function hush() {
  if (source) source.close();
  source = null;
}

async function ask() {
  try {
    const answer = await fetch(location.href, { redirect: "error", credentials: "same-origin" });
    if (answer.status === 401 || answer.status === 403) throw new Error("not let in");
    show(await answer.text(), answer.ok);
  } catch {
    tellLost();
  }
}

async function forever() {
  while (document.querySelector("[data-live]")) {
    if (document.visibilityState !== "visible") hush();
    else if (source && source.readyState === EventSource.CLOSED) {
      hush();
      await ask();
    } else if (source && Date.now() - heard > LATE_MS) tellLost();
    else listen();
    await new Promise((resolve) => setTimeout(resolve, LIVE_MS));
  }
  hush();
}

for (const box of document.querySelectorAll("input[data-all]")) {
  box.addEventListener("change", () => {
    for (const one of box.form.querySelectorAll("input[name=id]")) one.checked = box.checked;
  });
}
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  heard = Date.now();
  if (document.querySelector("[data-live]")) listen();
});
inOwnZone(document);
forever();
