/**
 * One 64-bit integer in shared memory, as a bigint and as two numbers of 32 bits.
 *
 * Invariant: `wide` and `halves` are the same bytes. Any code may overwrite them, so write and read
 * in one go, without a call between. Taking a bigint apart by shifts takes five to ten times as
 * long.
 */

export const wide = new BigUint64Array(1);
export const halves = new Uint32Array(wide.buffer);

const bytesOfOne = new Uint8Array(new Uint32Array([1]).buffer);
/** Indexes in `halves`. */
export const lowHalf = bytesOfOne[0] === 1 ? 0 : 1;
export const highHalf = 1 - lowHalf;
