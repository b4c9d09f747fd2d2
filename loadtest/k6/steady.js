// An ordinary day: orders arrive at a constant rate, whatever the answers take, for SKUs of which few are bought most. Of each hundred, 60 are
// paid, 20 cancelled, the others left to expire.
//   k6 run -e RATE=200 -e SECONDS=60 loadtest/k6/steady.js
import { check } from "k6";
import { addsUp, isAnswer, isConsistent } from "./lib/checks.js";
import { approve, cancel, freshKey, member, named, pay, place, read, stock } from "./lib/client.js";
import { chance, number, zipf } from "./lib/data.js";
import { summary } from "./lib/summary.js";
import { thresholds, trends } from "./lib/thresholds.js";

const RATE = number("RATE", 100);
const SKUS = number("SKUS", 200);
const UNITS = 1_000_000;
const pick = zipf(SKUS, 1.1);

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    steady: {
      executor: "constant-arrival-rate",
      rate: RATE,
      timeUnit: "1s",
      duration: `${number("SECONDS", 30)}s`,
      preAllocatedVUs: Math.ceil(RATE / 2),
      maxVUs: RATE * 4,
    },
  },
  thresholds: thresholds({ open: true }),
  summaryTrendStats: trends,
};

const sku = (/** @type {number} */ rank) => named(`SKU-${rank}`);

export function setup() {
  for (let rank = 0; rank < SKUS; rank++) {
    check(stock(sku(rank), UNITS), { "the stock is counted": ({ status }) => status === 200 || status === 201 });
  }
}

function payFor(/** @type {string} */ id) {
  const started = pay(id);
  const begun = check(started, { "the payment is started": ({ status }) => status === 200 || status === 201 });
  if (begun) check(approve(member(started, "redirect_url")), { "the buyer can approve": ({ status }) => status === 200 });
  check(read(id), { "the order can be read": (is) => is.status === 200 && member(is, "id") === id });
}

export default function () {
  const lines = [{ sku: sku(pick()), quantity: 1 + Math.floor(Math.random() * 3), unit_price: 1999 }];
  const answer = place(freshKey(), lines, 60);
  if (!isAnswer(answer) || answer.status !== 201) return;
  const id = member(answer, "id");
  if (chance(60)) payFor(id);
  else if (chance(50)) check(cancel(id), { "it is cancelled": (is) => member(is, "status") === "cancelled" });
}

export function teardown() {
  for (let rank = 0; rank < SKUS; rank++) addsUp(sku(rank), UNITS);
  isConsistent();
}

export const handleSummary = summary("steady");
