import { add, checks } from "../state.js";

/** @param {any} value @param {Record<string, (value: any) => boolean>} sets */
export function check(value, sets) {
  const results = Object.entries(sets).map(([name, holds]) => {
    const result = Boolean(holds(value));
    const seen = checks.get(name) ?? { passes: 0, fails: 0 };
    checks.set(name, seen);
    seen[result ? "passes" : "fails"] += 1;
    add("checks", Number(result));
    if (!result) console.error(`   failed: ${name}: ${value?.status ?? ""} ${String(value?.body ?? "").slice(0, 400)}`);
    return result;
  });
  return results.every(Boolean);
}
