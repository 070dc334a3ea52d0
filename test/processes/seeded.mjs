/**
 * Random numbers and the bytes of values from a seed, the same in the process that writes a store
 * and in the one that checks it: so that a value is told of by a few digits on a pipe.
 *
 * Plain JavaScript, for both Node 20 and the tests run it.
 */

/**
 * Numbers from 0 to below `limit`, one after another (mulberry32).
 *
 * @param {number} seed
 * @returns {(limit: number) => number}
 */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/**
 * The bytes of the value with this number: no two are alike, beginnings aside.
 *
 * @param {number} number
 * @param {number} length
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function valueBytes(number, length) {
  const bytes = new Uint8Array(length);
  let state = (number + 1) * 0x9e3779b1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 0x0001_9660d) + 0x3c6ef35f) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
