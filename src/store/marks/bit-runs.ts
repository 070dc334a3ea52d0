/**
 * Runs of bits in a bitmap of 32-bit words: set, clear, find and measure them.
 *
 * A set bit is a taken grain. All functions work word by word and allocate nothing. Requires: bits
 * after the end of a bitmap are set, so that no run goes past it.
 */

/** Number of zero bits below the lowest set bit; `word` must not be 0. */
function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** `count` low bits, 1 to 32 of them. */
function lowBits(count: number): number {
  return count === 32 ? -1 : (1 << count) - 1;
}

export function setRun(words: Uint32Array, from: number, count: number): void {
  let at = from;
  let rest = count;
  while (rest > 0) {
    const shift = at & 31;
    const step = Math.min(32 - shift, rest);
    const word = at >>> 5;
    words[word] = (words[word] as number) | (lowBits(step) << shift);
    at += step;
    rest -= step;
  }
}

export function clearRun(words: Uint32Array, from: number, count: number): void {
  let at = from;
  let rest = count;
  while (rest > 0) {
    const shift = at & 31;
    const step = Math.min(32 - shift, rest);
    const word = at >>> 5;
    words[word] = (words[word] as number) & ~(lowBits(step) << shift);
    at += step;
    rest -= step;
  }
}

/** First set bit at or after `from`; `limit` if there is none before it. */
export function nextSet(words: Uint32Array, from: number, limit: number): number {
  let at = from;
  while (at < limit) {
    const word = (words[at >>> 5] as number) >>> (at & 31);
    if (word !== 0) return Math.min(at + trailingZeros(word), limit);
    at = (at | 31) + 1;
  }
  return limit;
}

/** First clear bit at or after `from`; `limit` if there is none before it. */
export function nextClear(words: Uint32Array, from: number, limit: number): number {
  let at = from;
  while (at < limit) {
    const word = ~(words[at >>> 5] as number) >>> (at & 31);
    if (word !== 0) return Math.min(at + trailingZeros(word), limit);
    at = (at | 31) + 1;
  }
  return limit;
}

/** Start and end of a free run, and the longest run that was seen. */
export interface FreeRun {
  start: number;
  end: number;
  longest: number;
}

/** Searches `want` clear bits in a row from `from` on; writes the result into `found`. */
export function findFreeRun(
  words: Uint32Array,
  range: { readonly from: number; readonly limit: number },
  want: number,
  found: FreeRun,
): boolean {
  let at = range.from;
  found.longest = 0;
  while (at < range.limit) {
    const start = nextClear(words, at, range.limit);
    const end = nextSet(words, start, range.limit);
    const length = end - start;
    if (length > found.longest) found.longest = length;
    if (length >= want) {
      found.start = start;
      found.end = end;
      return true;
    }
    at = end;
  }
  return false;
}

/** Start of the clear run before `at`, at most `reach` bits back; `at` if it is empty. */
export function runStart(words: Uint32Array, at: number, reach: number): number {
  const low = Math.max(0, at - reach);
  let start = at;
  while (start > low) {
    const last = start - 1;
    const word = (words[last >>> 5] as number) << (31 - (last & 31));
    if (word !== 0) return Math.max(low, start - Math.clz32(word));
    start = last & ~31;
  }
  return low;
}

/** True if every bit of the run is clear. */
export function isClear(words: Uint32Array, from: number, count: number): boolean {
  return nextSet(words, from, from + count) === from + count;
}

/** Number of set bits. */
export function setBits(words: Uint32Array): number {
  let bits = 0;
  for (const word of words) for (let rest = word; rest !== 0; rest &= rest - 1) bits += 1;
  return bits;
}
