// Hours of moderate load in which every order ends soon: a third is paid, a third cancelled, a third expires after 30 s. The server audits itself
// every minute meanwhile. Compare the first and the last minutes of the report: neither p99 nor memory grows.
//   k6 run -e SECONDS=14400 -e RATE=300 loadtest/k6/soak.js
import { check } from "k6";
import { addsUp, isAnswer, isConsistent } from "./lib/checks.js";
import { approve, cancel, freshKey, member, named, pay, place, stock } from "./lib/client.js";
import { chance, number, zipf } from "./lib/data.js";
import { summary } from "./lib/summary.js";
import { thresholds, trends } from "./lib/thresholds.js";

const RATE = number("RATE", 100);
const SKUS = number("SKUS", 50);
const UNITS = 1_000_000_000;
const duration = `${number("SECONDS", 3600)}s`;
const pick = zipf(SKUS, 0.9);

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    soak: { executor: "constant-arrival-rate", rate: RATE, timeUnit: "1s", duration, preAllocatedVUs: RATE, maxVUs: RATE * 4 },
    audit: { executor: "constant-arrival-rate", exec: "auditor", rate: 1, timeUnit: "1m", duration, preAllocatedVUs: 2, maxVUs: 4 },
  },
  thresholds: thresholds({ open: true }),
  summaryTrendStats: trends,
};

const sku = (/** @type {number} */ rank) => named(`SOAK-${rank}`);

export function setup() {
  for (let rank = 0; rank < SKUS; rank++) {
    check(stock(sku(rank), UNITS), { "the stock is counted": ({ status }) => status === 200 || status === 201 });
  }
}

export default function () {
  const answer = place(freshKey(), [{ sku: sku(pick()), quantity: 1, unit_price: 500 }], 30);
  if (!isAnswer(answer) || answer.status !== 201) return;
  const id = member(answer, "id");
  if (chance(33)) {
    const started = pay(id);
    if (check(started, { "the payment is started": ({ status }) => status === 200 || status === 201 })) {
      check(approve(member(started, "redirect_url")), { "the buyer can approve": ({ status }) => status === 200 });
    }
  } else if (chance(50)) {
    check(cancel(id), { "it is cancelled": (is) => member(is, "status") === "cancelled" });
  }
}

export function auditor() {
  isConsistent();
}

export function teardown() {
  for (let rank = 0; rank < SKUS; rank++) addsUp(sku(rank), UNITS);
  isConsistent();
}

export const handleSummary = summary("soak");
