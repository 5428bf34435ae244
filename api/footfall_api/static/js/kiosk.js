// The kiosk: it follows the live stream, asks for a new copy of itself where none comes, and says how old its numbers are.

import { read } from "./board.js";
import { byId, setText, told as toldIn } from "./elements.js";
import { newCopy } from "./fresh.js";
import { follow } from "./live.js";
import { recent, statusOf, statusText, today } from "./rules.js";
import { setFigure, setStatus } from "./stations.js";
import { soFar, soFarText, together } from "./usual.js";
import { Words } from "./words.js";

/** @type {KioskTold} */
const told = toldIn();
/** @type {KioskBoot} */
const boot = { ...told, words: new Words(told) };
const { words, rules } = boot;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const names = namesIn(document);
/** @type {Map<string, Station>} */
const stations = new Map();
/** @type {number | null} */
let at = null; // of the numbers, by the server's clock
let behind = 0; // of this computer's clock, in milliseconds
let isOn = false;
let freshAt = Date.now();

showState();
if (names.length && "EventSource" in window) {
  follow(boot.live, {
    onStations(moment, boards, whole) {
      if (whole) stations.clear();
      for (const board of boards) stations.set(board.id, read(board));
      at = moment;
      behind = moment - Date.now();
      isOn = true;
      show();
      showState();
    },
    onLost() {
      isOn = false;
      showState();
    },
  });
}
setInterval(tick, 1000);

function tick() {
  showClock();
  const age = Date.now() - freshAt;
  // Without a stream often; else for what is usual, soon after each hour, and for a newer version of this page.
  const isNewHour = Math.floor((Date.now() - MINUTE_MS) / HOUR_MS) > Math.floor((freshAt - MINUTE_MS) / HOUR_MS);
  if ((!isOn && age > boot.reloadS * 1000) || isNewHour) renew();
  if (!isOn) showState();
}

// A reload would show the browser's own error page where the server is away: look first whether it answers.
async function renew() {
  freshAt = Date.now();
  try {
    const page = await newCopy();
    /** @type {KioskTold} */
    const told = toldIn(page);
    if (!isOn || told.static !== boot.static || namesIn(page).join() !== names.join()) {
      location.reload();
      return;
    }
    boot.days = told.days;
    show();
  } catch (error) {
    console.info("no newer page yet:", error instanceof Error ? error.message : error);
  }
}

/**
 * The stations that are shown on `page`, in their order.
 * @param {Document} page
 */
function namesIn(page) {
  /** @type {NodeListOf<HTMLElement>} */
  const tiles = page.querySelectorAll(".tile");
  return [...tiles].map((tile) => tile.dataset.station ?? "");
}

function show() {
  if (at === null) return;
  const moment = at;
  const shown = names.flatMap((name) => {
    const station = stations.get(name);
    const tile = document.querySelector(`.tile[data-station="${name}"]`);
    if (!station || !tile) return [];
    const beside = soFar(station, boot.days[name], moment, rules);
    const status = statusOf(station, moment, rules);
    setStatus(tile, status);
    setFigure(tile.querySelector('[data-figure="today"]'), today(station, moment, rules), words);
    setFigure(tile.querySelector('[data-figure="sixty"]'), recent(station, 60, moment, rules), words);
    setText(tile.querySelector('[data-usual="today"]'), soFarText(beside, rules, words));
    setText(tile.querySelector("[data-status]"), statusText(status, station, moment, words));
    return [{ station, beside, status }];
  });
  const all = together(shown, moment, rules, words);
  setFigure(document.querySelector('[data-figure="total-today"]'), all.today, words);
  setFigure(document.querySelector('[data-figure="total-sixty"]'), all.sixty, words);
  setText(document.querySelector('[data-usual="total"]'), all.soFar);
}

function zone() {
  return stations.get(names[0])?.timezone;
}

function showClock() {
  if (at === null) return;
  const now = Date.now() + behind;
  setText(document.getElementById("clock"), words.clock(now, zone()));
  const weekday = new Intl.DateTimeFormat(words.locale, { weekday: "long", timeZone: zone() }).format(now);
  setText(document.getElementById("date"), `${weekday}, ${words.date(now, zone())}`);
}

function showState() {
  const place = document.getElementById("connection");
  if (!place) return; // there is no station yet
  byId("light").dataset.state = isOn ? "on" : at === null ? "connecting" : "lost";
  setText(document.getElementById("light-word"), words.t(isOn ? "live.on" : at === null ? "live.connecting" : "live.paused"));
  if (at !== null) {
    const told = { time: words.clock(at, zone(), true), zone: boot.zones[names[0]] ?? "" };
    setText(document.getElementById("as-of"), words.t("live.as_of", told));
  }
  if (isOn || at === null) {
    setText(place, "");
    return;
  }
  const minutes = Math.floor((Date.now() + behind - at) / MINUTE_MS);
  const age = words.t("kiosk.minutes", {}, minutes);
  setText(place, words.t("kiosk.lost", { time: words.clock(at, zone()), age }));
}
