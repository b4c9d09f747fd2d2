// What buyers choose. Popularity follows Zipf's law: the rank r has 1 / r^s of the weight of the first.

/** @param {number} count @param {number} exponent @returns {() => number} ranks from 0 */
export function zipf(count, exponent) {
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1) ** exponent);
  let sum = 0;
  const upTo = weights.map((weight) => (sum += weight));
  return () => {
    const at = Math.random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** So many of a hundred. @param {number} percent */
export const chance = (percent) => Math.random() * 100 < percent;

/** A whole number of seconds, orders or SKUs from the environment. @param {string} name @param {number} otherwise */
export function number(name, otherwise) {
  const given = __ENV[name];
  const value = given === undefined || given === "" ? otherwise : Number(given);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} is ${given}: a whole number from 1 on was expected`);
  return value;
}
