// The page, once scripts run: it follows the live stream and shows what comes. The server has written everything first.

import { fresh } from "./fresh.js";
import { follow } from "./live.js";
import { read, statusOf, summary } from "./rules.js";
import { setFigure, setText, showStation } from "./stations.js";
import { lately, latelyText, runningCount, runningHour, soFar, soFarText, together } from "./usual.js";
import { Words } from "./words.js";

const boot = JSON.parse(document.getElementById("boot").textContent);
boot.words = new Words(boot);
const { words, rules } = boot;

const BACK_FOR_MS = 8000;
const stations = new Map();
let state = "connecting";
let at = null;
let saying = 0;

document.documentElement.classList.add("scripted");
showState("connecting");

follow(boot.live, {
  onStations(moment, boards, whole) {
    at = moment;
    if (whole) stations.clear();
    for (const board of boards) stations.set(board.id, read(board));
    showStations();
    setText(document.getElementById("summary"), summary([...stations.values()], rules, words));
    const back = state === "lost";
    showState("on");
    if (back) say(words.t("live.back"), BACK_FOR_MS);
    showTime();
  },
  onLost() {
    if (state === "lost" || at === null) {
      if (at === null) showState("connecting");
      return;
    }
    showState("lost");
    say(words.t("live.lost", { time: words.clock(at, zone(), true) }));
  },
});

// What is usual, the hours that are over and the remarks: the server has them, and a new page every hour.
fresh(boot, (page) => {
  boot.days = page.days;
  if (at !== null) showStations();
});

// All of them: a station may have grown silent although nothing of its own changed.
function showStations() {
  const shown = [...stations.values()].map((station) => {
    showStation(station, at, boot);
    const day = boot.days[station.id];
    const beside = soFar(station, day, at, rules);
    showBeside(station, day, beside);
    return { station, beside, status: statusOf(station, at, rules) };
  });
  const all = together(shown, at, rules, words);
  setFigure(document.querySelector('[data-figure="total-today"]'), all.today, words);
  setFigure(document.querySelector('[data-figure="total-sixty"]'), all.sixty, words);
  setText(document.querySelector('[data-usual="total"]'), all.soFar);
  const places = words.t("usual.places", { all: words.number(shown.length) }, all.today.stations);
  setText(document.getElementById("places"), places);
}

function showBeside(station, day, beside) {
  const row = document.querySelector(`.board tr[data-station="${station.id}"]`);
  if (!row) return;
  setText(row.querySelector('[data-usual="today"]'), soFarText(beside, rules, words));
  setText(row.querySelector('[data-usual="sixty"]'), latelyText(lately(station, day, at, rules), rules, words));
  const bar = row.querySelector(".course-running");
  const count = runningCount(station, day, at);
  if (bar && count !== null) showBar(bar, count, day.hours.indexOf(runningHour(day, at)));
}

// The bar of the running hour. When another hour begins it leaves the last one as it was, until the page is fresh.
function showBar(bar, count, index) {
  const x = String(index * rules.hourWidth + 1);
  if (bar.getAttribute("x") !== x) {
    const over = bar.cloneNode();
    over.setAttribute("class", "course-bars");
    bar.before(over);
    bar.setAttribute("x", x);
  }
  const height = Math.min(count * Number(bar.dataset.scale), rules.courseHeight);
  bar.setAttribute("y", (rules.courseHeight - height).toFixed(1));
  bar.setAttribute("height", height.toFixed(1));
}

function showState(now) {
  state = now;
  document.getElementById("light").dataset.state = now;
  const word = { connecting: "live.connecting", on: "live.on", lost: "live.paused" }[now];
  setText(document.getElementById("light-word"), words.t(word));
}

// Said once when the line goes down and once when it is back, and to screen readers too (the place has role status).
function say(sentence, forMs = 0) {
  const place = document.getElementById("connection");
  place.classList.toggle("is-lost", state === "lost");
  setText(place, sentence);
  clearTimeout(saying);
  if (forMs) saying = setTimeout(() => setText(place, ""), forMs);
}

function showTime() {
  const told = { time: words.clock(at, zone(), true), zone: boot.zones[boot.first] ?? "" };
  setText(document.getElementById("as-of"), words.t("live.as_of", told));
}

function zone() {
  return stations.get(boot.first)?.timezone;
}

if (boot.tiles) {
  import("./tiles.js")
    .then(({ showTiles }) => showTiles(boot, showStations))
    .catch((error) => console.warn("no map background, the drawing stays:", error));
}
