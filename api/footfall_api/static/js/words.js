// Sentences, numbers and times in the page's language. The sentences come with the page; Intl writes the rest.

export class Words {
  // Making a formatter is slow, using one is not: each is made when it is first wanted, and kept.
  /** @type {Intl.PluralRules | undefined} */
  #plural;
  /** @type {Intl.NumberFormat | undefined} */
  #numbers;
  /** @type {Intl.NumberFormat | undefined} */
  #percents;
  /** @type {Map<string, Intl.DateTimeFormat>} */
  #clocks = new Map();

  /** @param {Pick<Told, "locale" | "words">} told */
  constructor({ locale, words }) {
    this.words = words;
    this.locale = locale;
  }

  /**
   * The sentence under `key`, its {words} filled in; `n` chooses between one and many.
   * @param {string} key
   * @param {Record<string, string | number>} [values]
   * @param {number | null} [n]
   * @returns {string}
   */
  t(key, values = {}, n = null) {
    let entry = this.words[key];
    if (typeof entry === "object") {
      this.#plural ??= new Intl.PluralRules(this.locale);
      const form = n === null ? "other" : this.#plural.select(n);
      entry = (form === "one" ? entry.one : null) ?? entry.other;
      values = { count: n === null ? "" : this.number(n), ...values };
    }
    return entry.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  /** @param {number} value */
  number(value) {
    this.#numbers ??= new Intl.NumberFormat(this.locale);
    return this.#numbers.format(value);
  }

  /**
   * Rounded down, so that 100 % means all of it.
   * @param {number} share
   */
  percent(share) {
    // 0.29 × 100 is a little less than 29 to a computer, and 29 % all the same.
    this.#percents ??= new Intl.NumberFormat(this.locale, { style: "percent", maximumFractionDigits: 0 });
    return this.#percents.format(Math.trunc(share * 100 + 1e-9) / 100);
  }

  /**
   * 14:32, or 14:32:10 with seconds, in `zone`.
   * @param {Date | number} moment a number is milliseconds since 1970
   * @param {string} [zone]
   * @param {boolean} [seconds]
   */
  clock(moment, zone, seconds = false) {
    /** @type {Intl.DateTimeFormatOptions} */
    const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) };
    return this.#format(form, zone).format(moment);
  }

  /**
   * @param {Date | number} moment
   * @param {string} [zone]
   */
  date(moment, zone) {
    return this.#format({ dateStyle: "medium" }, zone).format(moment);
  }

  /**
   * @param {Intl.DateTimeFormatOptions} form
   * @param {string} [zone]
   */
  #format(form, zone) {
    const key = JSON.stringify([form, zone]);
    const known = this.#clocks.get(key) ?? new Intl.DateTimeFormat(this.locale, { ...form, timeZone: zone });
    this.#clocks.set(key, known);
    return known;
  }
}
