// What makes a run fail. Invariants allow no exception. Latencies are of this kind of machine: LIMIT_MS moves them.
import { number } from "./data.js";

/** Arrivals that k6 could not start in time: with any, its latencies leave out the buyers who waited longest. */
const openLoop = { dropped_iterations: ["count==0"] };

/** @param {{ open: boolean }} script whether buyers come whatever the answers take */
export function thresholds({ open }) {
  const limit = `p(99)<${number("LIMIT_MS", 250)}`;
  return {
    checks: ["rate==1"],
    orders_answered: ["rate==1"],
    http_req_failed: ["rate==0"],
    ...(open ? openLoop : {}),
    order_accepted: [limit],
    order_refused: [limit],
  };
}

/** Of every figure, as the report shows them. @type {string[]} */
export const trends = ["avg", "min", "med", "p(90)", "p(95)", "p(99)", "p(99.9)", "max", "count"];
