// The page, once scripts run: it follows the live stream and shows what comes. The server has written everything first.

import { read } from "./board.js";
import { byId, setText, told as toldIn } from "./elements.js";
import { fresh } from "./fresh.js";
import { follow } from "./live.js";
import { statusOf, summary } from "./rules.js";
import { setFigure, showStation } from "./stations.js";
import { lately, latelyText, runningCount, runningHour, soFar, soFarText, together } from "./usual.js";
import { Words } from "./words.js";

/** @type {NowTold} */
const told = toldIn();
/** @type {NowBoot} */
const boot = { ...told, words: new Words(told) };
const { words, rules } = boot;

const BACK_FOR_MS = 8000;
/** @type {Map<string, Station>} */
const stations = new Map();
/** @type {"connecting" | "on" | "lost"} */
let state = "connecting";
/** @type {number | null} Of the last board, in milliseconds since 1970. */
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
  if (at === null) return;
  const moment = at;
  const shown = [...stations.values()].map((station) => {
    showStation(station, moment, boot);
    const day = boot.days[station.id];
    const beside = soFar(station, day, moment, rules);
    showBeside(station, day, beside, moment);
    return { station, beside, status: statusOf(station, moment, rules) };
  });
  const all = together(shown, moment, rules, words);
  setFigure(document.querySelector('[data-figure="total-today"]'), all.today, words);
  setFigure(document.querySelector('[data-figure="total-sixty"]'), all.sixty, words);
  setText(document.querySelector('[data-usual="total"]'), all.soFar);
  const places = words.t("usual.places", { all: words.number(shown.length) }, all.today.stations);
  setText(document.getElementById("places"), places);
}

/**
 * @param {Station} station
 * @param {Day | undefined} day
 * @param {import("./usual.js").Beside | null} beside
 * @param {number} moment
 */
function showBeside(station, day, beside, moment) {
  const row = document.querySelector(`.board tr[data-station="${station.id}"]`);
  if (!row) return;
  setText(row.querySelector('[data-usual="today"]'), soFarText(beside, rules, words));
  setText(row.querySelector('[data-usual="sixty"]'), latelyText(lately(station, day, moment, rules), rules, words));
  /** @type {SVGElement | null} */
  const bar = row.querySelector(".course-running");
  const hour = day && runningHour(day, moment);
  const count = runningCount(station, day, moment);
  if (bar && hour && count !== null) showBar(bar, count, day.hours.indexOf(hour));
}

/**
 * The bar of the running hour. When another hour begins it leaves the last one as it was, until the page is fresh.
 * @param {SVGElement} bar
 * @param {number} count
 * @param {number} index of the hour in its day
 */
function showBar(bar, count, index) {
  const x = String(index * rules.hourWidth + 1);
  if (bar.getAttribute("x") !== x) {
    const over = /** @type {SVGElement} */ (bar.cloneNode());
    over.setAttribute("class", "course-bars");
    bar.before(over);
    bar.setAttribute("x", x);
  }
  const height = Math.min(count * Number(bar.dataset.scale), rules.courseHeight);
  bar.setAttribute("y", (rules.courseHeight - height).toFixed(1));
  bar.setAttribute("height", height.toFixed(1));
}

/** @param {"connecting" | "on" | "lost"} now */
function showState(now) {
  state = now;
  byId("light").dataset.state = now;
  const word = { connecting: "live.connecting", on: "live.on", lost: "live.paused" }[now];
  setText(document.getElementById("light-word"), words.t(word));
}

/**
 * Said once when the line goes down and once when it is back, and to screen readers too (the place has role status).
 * @param {string} sentence
 * @param {number} [forMs] how long it stays; 0: until the next one
 */
function say(sentence, forMs = 0) {
  const place = byId("connection");
  place.classList.toggle("is-lost", state === "lost");
  setText(place, sentence);
  clearTimeout(saying);
  if (forMs) saying = setTimeout(() => setText(place, ""), forMs);
}

function showTime() {
  if (at === null) return;
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
