// Draws the charts of the comparison, and keeps the fields of the way that was not chosen out of the address.

import { told } from "./elements.js";
import { drawAll } from "./plot.js";

document.documentElement.classList.add("scripted");

const form = document.querySelector("form.ask");
form?.addEventListener("submit", () => setAside(true));
// A page that the back button brings back is as it was left: its fields must work again.
addEventListener("pageshow", () => setAside(false));

/**
 * Switches the fields of the way that is not chosen off, or all of them on.
 * @param {boolean} off
 */
function setAside(off) {
  const chosen = document.querySelector("input[name=way]:checked");
  for (const part of document.querySelectorAll(".ask-part")) {
    const other = !(chosen instanceof HTMLInputElement && part.classList.contains(`for-${chosen.value}`));
    for (const field of part.querySelectorAll("input, select")) {
      if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.disabled = off && other;
    }
  }
}

drawAll(told());
