// A flash sale: all at once many more buyers than units of one SKU. So many are sold as there are, never one more; the answer that it is sold out
// is no slower than a sale.
//   k6 run -e UNITS=500 -e RATE=2000 loadtest/k6/flash.js
import { check } from "k6";
import { addsUp, isAnswer, isConsistent } from "./lib/checks.js";
import { freshKey, member, named, place, stock, stockOf } from "./lib/client.js";
import { number } from "./lib/data.js";
import { summary } from "./lib/summary.js";
import { thresholds, trends } from "./lib/thresholds.js";

const UNITS = number("UNITS", 200);
const RATE = number("RATE", 500);
const SKU = named("DROP");

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    flash: {
      executor: "ramping-arrival-rate",
      startRate: Math.ceil(RATE / 10),
      timeUnit: "1s",
      preAllocatedVUs: RATE,
      maxVUs: RATE * 4,
      stages: [
        { target: RATE, duration: "1s" },
        { target: RATE, duration: `${number("SECONDS", 10)}s` },
      ],
    },
  },
  thresholds: { ...thresholds({ open: true }), orders_placed: [`count<=${UNITS}`] },
  summaryTrendStats: trends,
};

export function setup() {
  check(stock(SKU, UNITS), { "the stock is counted": ({ status }) => status === 200 || status === 201 });
}

export default function () {
  isAnswer(place(freshKey(), [{ sku: SKU, quantity: 1, unit_price: 4900 }]));
}

export function teardown() {
  addsUp(SKU, UNITS);
  const left = stockOf(SKU);
  check(left, { "what is not available is held": (is) => UNITS - member(is, "available") === member(is, "held") });
  isConsistent();
}

export const handleSummary = summary("flash");
