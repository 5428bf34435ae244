// The page of the data, once scripts run: a button beside each text that is there to be copied.

import { told } from "./elements.js";
import { Words } from "./words.js";

const words = new Words(told());
const SAID_FOR_MS = 2500;

// Browsers copy on pages that came over a line nobody can read along, and on this very machine.
if (navigator.clipboard) {
  for (const text of document.querySelectorAll("[data-copy]")) addButton(/** @type {HTMLElement} */ (text));
}

/**
 * Put a button behind the box of `text`, which copies it and says so.
 * @param {HTMLElement} text
 */
function addButton(text) {
  const row = document.createElement("p");
  const button = document.createElement("button");
  const said = document.createElement("span");
  row.className = "copy";
  button.type = "button";
  button.textContent = words.t("copy.copy");
  button.setAttribute("aria-label", words.t("copy.copy_of", { what: text.dataset.copy ?? "" }));
  said.setAttribute("role", "status");
  let saying = 0;
  button.addEventListener("click", async () => {
    clearTimeout(saying);
    said.textContent = words.t((await copied(text.textContent ?? "")) ? "copy.copied" : "copy.failed");
    saying = setTimeout(() => (said.textContent = ""), SAID_FOR_MS);
  });
  row.append(button, " ", said);
  text.closest("pre")?.after(row);
}

/**
 * Whether `text` could be copied.
 * @param {string} text
 */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
