// Keeps a page live: asks for it again every two seconds while it is looked at, and puts the parts that changed in place.
// The parts are the server's own escaped markup; a document made by DOMParser runs no scripts.
"use strict";

const LIVE_MS = 2000;
const state = document.getElementById("live-state");
const shown = new Map();
let failures = 0;

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

async function refresh() {
  try {
    const answer = await fetch(location.href, { redirect: "error", credentials: "same-origin" });
    if (answer.status === 401 || answer.status === 403) throw new Error("not let in");
    replaceChanged(new DOMParser().parseFromString(await answer.text(), "text/html"));
    failures = 0;
    tell(answer.ok ? "Live" : "Not live: see above.", !answer.ok);
  } catch {
    failures += 1;
    tell("Not live: the page cannot be reached. Figures are those of " + failures * LIVE_MS / 1000 + " s ago or older.", true);
  }
}

async function forever() {
  while (document.querySelector("[data-live]")) {
    await new Promise((resolve) => setTimeout(resolve, LIVE_MS));
    if (document.visibilityState === "visible") await refresh();
  }
}

for (const box of document.querySelectorAll("input[data-all]")) {
  box.addEventListener("change", () => {
    for (const one of box.form.querySelectorAll("input[name=id]")) one.checked = box.checked;
  });
}
inOwnZone(document);
forever();
