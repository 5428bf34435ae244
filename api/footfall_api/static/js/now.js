// The page, once scripts run: it follows the live stream and shows what comes. The server has written everything first.

import { byId } from "./elements.js";
import { Hour } from "./hour.js";
import { follow } from "./live.js";
import { read, summary } from "./rules.js";
import { setText, showChosen, showStation } from "./stations.js";
import { Words } from "./words.js";

/** @type {NowTold} */
const told = JSON.parse(byId("boot").textContent);
/** @type {NowBoot} */
const boot = { ...told, words: new Words(told) };
const { words } = boot;

const BACK_FOR_MS = 8000;
/** @type {Map<string, Station>} */
const stations = new Map();
const hour = new Hour(boot);
let chosen = boot.station;
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
    setText(document.getElementById("summary"), summary([...stations.values()], boot.rules, words));
    showHour();
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

// All of them: a station may have grown silent although nothing of its own changed.
function showStations() {
  if (at === null) return;
  for (const station of stations.values()) showStation(station, at, boot);
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
  const zoneName = boot.zones[chosen] ?? "";
  setText(
    document.getElementById("as-of"),
    words.t("live.as_of", { time: words.clock(at, zone(), true), zone: zoneName }),
  );
}

function zone() {
  return stations.get(chosen)?.timezone;
}

function showHour() {
  const station = stations.get(chosen);
  if (station) hour.show(station);
}

// Choosing a station: from the list, the map or the table. The address keeps it, so that it can be shared and reloaded.

const select = byId("station", HTMLSelectElement);

/** @param {string} id @param {{ remember: boolean }} how whether the way back leads to the station before */
function choose(id, { remember }) {
  if (![...select.options].some((option) => option.value === id)) return;
  chosen = id;
  select.value = id;
  showChosen(id);
  showHour();
  showTime();
  const address = new URL(location.href);
  address.searchParams.set("station", id);
  address.hash = "";
  if (remember) history.pushState({ station: id }, "", address);
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const languages = document.querySelectorAll("a[data-language]");
  for (const link of languages) {
    const other = new URL(link.href);
    other.searchParams.set("station", id);
    link.href = other.href;
  }
}

select.addEventListener("change", () => choose(select.value, { remember: true }));
select.form?.addEventListener("submit", (event) => {
  event.preventDefault();
  choose(select.value, { remember: true });
});

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-station]") : null;
  const id = link?.getAttribute("data-station");
  if (!id || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  choose(id, { remember: true });
  setText(document.getElementById("said"), words.t("live.chosen", { name: select.selectedOptions[0].text }));
  const heading = byId("chart-heading");
  const { top, bottom } = heading.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight * 0.8) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    heading.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
  }
});

window.addEventListener("popstate", () => {
  choose(new URL(location.href).searchParams.get("station") ?? boot.station, { remember: false });
});

if (boot.tiles) {
  import("./tiles.js")
    .then(({ showTiles }) => showTiles(boot, showStations))
    .catch((error) => console.warn("no map background, the drawing stays:", error));
}
