"use strict";
// Without this everything but "Follow" works. What comes is a row as the server renders it, with everything in it escaped.

const KEPT = 500; // rows in the page while it follows

const list = document.getElementById("events");
const follow = document.getElementById("follow");
const status = document.getElementById("status");
let source = null;
let arrived = 0;

function say(text) {
  status.textContent = text;
}

function stop(text) {
  source?.close();
  source = null;
  follow.setAttribute("aria-pressed", "false");
  say(text);
}

function add(row) {
  const wasAtEnd = innerHeight + scrollY >= document.body.offsetHeight - 200;
  list.insertAdjacentHTML("beforeend", row.html);
  const last = list.lastElementChild;
  last.classList.add("arrived");
  while (list.children.length > KEPT) list.firstElementChild.remove();
  const next = new URL(follow.dataset.live, location.href);
  next.searchParams.set("after", row.number);
  follow.dataset.live = next.pathname + next.search;
  arrived += 1;
  say(`Following: ${arrived} new`);
  if (wasAtEnd) last.scrollIntoView({ block: "nearest" });
}

function start() {
  arrived = 0;
  source = new EventSource(follow.dataset.live);
  follow.setAttribute("aria-pressed", "true");
  say("Following");
  source.addEventListener("stored", (event) => add(JSON.parse(event.data)));
  source.addEventListener("problem", (event) => stop(event.data));
  source.addEventListener("error", () => {
    // Its own second try would ask for the same events again: here the address knows what has come.
    stop("The browser's server does not answer any more, or too many pages follow.");
  });
}

follow?.addEventListener("click", () => (source ? stop("") : start()));

// Only while an event has the focus: single keys belong to whoever uses a screen reader.
list?.addEventListener("keydown", (event) => {
  const step = { j: "nextElementSibling", k: "previousElementSibling", ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const row = event.target.closest(".event");
  if (!step || !row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey) return;
  const next = row[step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});
