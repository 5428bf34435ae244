// Sentences, numbers and times in the page's language. The sentences come with the page; Intl writes the rest.

export class Words {
  constructor({ locale, words }) {
    this.words = words;
    this.plural = new Intl.PluralRules(locale);
    this.locale = locale;
    this.numbers = new Intl.NumberFormat(locale);
    this.percents = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
    this.clocks = new Map();
  }

  // The sentence under `key`, its {words} filled in; `n` chooses between one and many.
  t(key, values = {}, n = null) {
    let entry = this.words[key];
    if (typeof entry === "object") {
      entry = entry[n === null ? "other" : this.plural.select(n)] ?? entry.other;
      values = { count: n === null ? "" : this.number(n), ...values };
    }
    return entry.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  number(value) {
    return this.numbers.format(value);
  }

  // Rounded down, so that 100 % means all of it.
  percent(share) {
    return this.percents.format(Math.trunc(share * 100) / 100);
  }

  // 14:32, or 14:32:10 with seconds, in `zone`. `moment`: a Date or milliseconds.
  clock(moment, zone, seconds = false) {
    const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) };
    return this.#format(form, zone).format(moment);
  }

  date(moment, zone) {
    return this.#format({ dateStyle: "medium" }, zone).format(moment);
  }

  // Making a formatter is slow, using one is not.
  #format(form, zone) {
    const key = JSON.stringify([form, zone]);
    if (!this.clocks.has(key)) {
      this.clocks.set(key, new Intl.DateTimeFormat(this.locale, { ...form, timeZone: zone }));
    }
    return this.clocks.get(key);
  }
}
