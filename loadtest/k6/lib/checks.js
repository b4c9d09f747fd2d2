// What must hold whatever the load: checks with a rate of 1 in every script (see thresholds.js).
import { check } from "k6";
import { audit, member, stockOf } from "./client.js";

/** An answer to an order is one of three, and says what it is. @param {import("k6/http").Response} answer */
export function isAnswer(answer) {
  return check(answer, {
    "placed, out of stock, or not executed": ({ status }) => [201, 409, 503].includes(status),
    "a 201 has an order that waits for its payment": (is) => is.status !== 201 || member(is, "status") === "awaiting_payment",
    "a 409 says out_of_stock": (is) => is.status !== 409 || member(is, "code") === "out_of_stock",
    "a 503 says when to come again": (is) => is.status !== 503 || Number(is.headers["Retry-After"]) >= 1,
  });
}

/** No unit came from nowhere and none was sold twice. @param {string} sku @param {number} units it began with */
export function addsUp(sku, units) {
  const answer = stockOf(sku);
  const of = (/** @type {string} */ name) => Number(member(answer, name));
  return check(answer, {
    "the stock can be read": ({ status }) => status === 200,
    "available is never negative": () => of("available") >= 0,
    "on hand is what was counted": () => of("on_hand") === units,
    "what is on hand is available or somebody's": () =>
      units === of("available") + of("held") + of("pinned") + of("committed") + of("safety_stock"),
  });
}

/** The server adds its own journal up. */
export function isConsistent() {
  return check(audit(), { "the server's audit finds nothing": (is) => is.status === 200 && member(is, "ok") === true });
}
