import { add, declare } from "../state.js";

class Metric {
  /** @param {string} name @param {string} type */
  constructor(name, type, contains = "default") {
    this.name = name;
    declare(name, type, contains);
  }

  /** @param {number | boolean} value */
  add(value) {
    add(this.name, Number(value));
  }
}

export class Counter extends Metric {
  /** @param {string} name */
  constructor(name) {
    super(name, "counter");
  }
}

export class Rate extends Metric {
  /** @param {string} name */
  constructor(name) {
    super(name, "rate");
  }
}

export class Trend extends Metric {
  /** @param {string} name @param {boolean} [isTime] */
  constructor(name, isTime) {
    super(name, "trend", isTime ? "time" : "default");
  }
}
