// Impatient buyers: each sends the same order under the same key several times at once, and then once more with another body. One order comes
// of it, every answer is the same, and the other body is refused.
//   k6 run -e VUS=50 -e TIMES=5 loadtest/k6/double-submit.js
import { check } from "k6";
import { addsUp, isAnswer, isConsistent } from "./lib/checks.js";
import { freshKey, member, named, place, placeAtOnce, stock } from "./lib/client.js";
import { number } from "./lib/data.js";
import { summary } from "./lib/summary.js";
import { thresholds, trends } from "./lib/thresholds.js";
import http from "k6/http";

const TIMES = number("TIMES", 4);
const UNITS = 10_000_000;
const SKU = named("TWICE");

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    "double-submit": { executor: "constant-vus", vus: number("VUS", 20), duration: `${number("SECONDS", 10)}s` },
  },
  thresholds: thresholds({ open: false }),
  summaryTrendStats: trends,
};

export function setup() {
  check(stock(SKU, UNITS), { "the stock is counted": ({ status }) => status === 200 || status === 201 });
}

export default function () {
  const key = freshKey();
  const lines = [{ sku: SKU, quantity: 1, unit_price: 100 }];
  const first = place(key, lines);
  if (!isAnswer(first) || first.status !== 201) return;
  const again = placeAtOnce(key, lines, TIMES);
  check(again, {
    "each retry is answered as the first, byte for byte": (all) => all.every((is) => is.status === 201 && is.body === first.body),
    "each retry says that it is one": (all) => all.every((is) => is.headers["Idempotent-Replayed"] === "true"),
  });
  // Refused on purpose, so this one answer is no failure of the run.
  http.setResponseCallback(http.expectedStatuses(422));
  const other = placeAtOnce(key, [{ ...lines[0], quantity: 2 }], 1)[0];
  http.setResponseCallback(http.expectedStatuses(200, 201, 202, 409, 503));
  check(other, { "another body under the key is refused": (is) => is.status === 422 && member(is, "code") === "idempotency_key_reused" });
}

export function teardown() {
  addsUp(SKU, UNITS);
  isConsistent();
}

export const handleSummary = summary("double-submit");
