/**
 * One 64-bit integer in shared memory, as a bigint and as two numbers of 32 bits.
 *
 * Invariant: what is written to `wide` is read from `halves`, and the other way round, until anyone
 * writes again: whoever uses it writes and reads at once. Taking a bigint apart by shifts takes
 * five to ten times as long.
 */

export const wide = new BigUint64Array(1);
export const halves = new Uint32Array(wide.buffer);

const bytesOfOne = new Uint8Array(new Uint32Array([1]).buffer);
/** Places in `halves`. */
export const lowHalf = bytesOfOne[0] === 1 ? 0 : 1;
export const highHalf = 1 - lowHalf;
