// The station page, once scripts run: charts, the live hour, and forms that change the page without loading it anew.
// The address always says what is shown; without scripts the same forms and links load the page it names.

import { read } from "./board.js";
import { setText, told } from "./elements.js";
import { LastHour } from "./last_hour.js";
import { follow } from "./live.js";
import { drawAll } from "./plot.js";
import { Words } from "./words.js";

const BACK_FOR_MS = 8000;

/** @type {StationTold} */
const boot = told();
const words = new Words(boot);

document.documentElement.classList.add("scripted");
const drawn = drawAll(boot);

// ------------------------------------------------------------------------------------------------------ the last hour

const light = document.getElementById("light");

if (light) {
  /** @type {LastHour|null} */
  let hour = null;
  /** @type {Station|null} */
  let station = null;
  let at = 0;
  let state = "connecting";
  let saying = 0;
  const place = document.getElementById("connection");

  /** @param {string} now */
  const showState = (now) => {
    state = now;
    light.dataset.state = now;
    const word = { connecting: "minutes.connecting", on: "minutes.on" }[now] ?? "minutes.paused";
    setText(document.getElementById("light-word"), words.t(word));
  };

  // Said once when the line goes down and once when it is back, and to screen readers too (the place has role status).
  /**
   * @param {string} sentence
   * @param {number} forMs
   */
  const say = (sentence, forMs = 0) => {
    place?.classList.toggle("is-lost", state === "lost");
    setText(place, sentence);
    clearTimeout(saying);
    if (forMs) saying = setTimeout(() => setText(place, ""), forMs);
  };

  const show = () => {
    if (!station) return;
    hour?.show(station);
    setText(
      document.getElementById("as-of"),
      words.t("minutes.as_of", { time: words.clock(at, station.timezone, true), zone: boot.zone }),
    );
  };

  drawn.then((plots) => {
    const plot = plots.find((one) => one.id === "minutes-plot");
    if (plot) hour = new LastHour(words, plot);
    show();
  });

  showState("connecting");
  follow(boot.live, {
    onStations(moment, boards) {
      at = moment;
      const board = boards.find((one) => one.id === boot.station);
      if (board) station = read(board);
      show();
      const back = state === "lost";
      showState("on");
      if (back) say(words.t("minutes.back"), BACK_FOR_MS);
    },
    onLost() {
      if (state === "lost" || !at) return;
      showState("lost");
      say(words.t("minutes.lost", { time: words.clock(at, station?.timezone, true) }));
    },
  });
}

// -------------------------------------------------------------------------------------- another period, without a reload

let asked = 0;

/**
 * Show what `address` names: its parts take the place of those that are here.
 * @param {string} address
 * @param {boolean} remember whether it is a step that the back button undoes
 */
async function go(address, remember) {
  const mine = ++asked;
  try {
    document.body.setAttribute("aria-busy", "true");
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    if (!boot.parts.every((id) => page.getElementById(id))) throw new Error("another page");
    // Remembered first: what is drawn may ask for the address.
    if (remember) history.pushState(null, "", new URL(address, location.href));
    const focused = document.activeElement?.id;
    const open = [...document.querySelectorAll("details[open]")].map(({ id }) => id);
    for (const id of boot.parts) {
      const fresh = document.importNode(/** @type {HTMLElement} */ (page.getElementById(id)), true);
      document.getElementById(id)?.replaceWith(fresh);
      for (const details of fresh.querySelectorAll("details")) details.open ||= open.includes(details.id);
    }
    document.title = page.title;
    for (const link of document.querySelectorAll("a[data-language], link[hreflang]")) {
      const same = page.querySelector(`${link.tagName}[hreflang="${link.getAttribute("hreflang")}"]`);
      if (same) link.setAttribute("href", same.getAttribute("href") ?? "");
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    setText(document.getElementById("said"), document.getElementById("course-plot-summary")?.textContent ?? "");
    await Promise.all(boot.parts.map((id) => drawAll(boot, document.getElementById(id) ?? document)));
  } catch (error) {
    if (mine === asked) location.assign(address);
  } finally {
    if (mine === asked) document.body.removeAttribute("aria-busy");
  }
}

/** @param {HTMLFormElement} form */
function addressOf(form) {
  const address = new URL(form.action);
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  address.search = new URLSearchParams(/** @type {[string, string][]} */ (fields)).toString();
  address.hash = "";
  return address.href;
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (form.id !== "choice-form" && form.id !== "usual-form") return;
  event.preventDefault();
  go(addressOf(form), true);
});

// A date is typed digit by digit: while it is, nothing happens until the field is left or Enter is pressed.
let typing = false;
document.addEventListener("keydown", ({ key }) => {
  typing = key !== "Enter" && key !== " ";
});
document.addEventListener("pointerdown", () => {
  typing = false;
});
document.addEventListener("change", (event) => {
  const field = /** @type {HTMLInputElement|HTMLSelectElement} */ (event.target);
  const form = field.form;
  if (!form || !["choice-form", "usual-form", "choose-station"].includes(form.id)) return;
  if (field.type === "date" && typing) field.dataset.changed = "true";
  else form.requestSubmit();
});
document.addEventListener("focusout", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target);
  if (!field.dataset?.changed) return;
  delete field.dataset.changed;
  if (field.value) field.form?.requestSubmit();
});

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest?.("a[data-swap]");
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.href, true);
});

window.addEventListener("popstate", () => go(location.href, false));
