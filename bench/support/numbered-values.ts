/**
 * Values of 100 bytes that begin with their number, so that each can be told from the others.
 *
 * Invariant: the same number gives the same bytes. Those made together lie in one piece of memory,
 * because a million buffers of their own would cost more than storing them.
 */

export const numberedBytes = 100;

export function numberedValues(first: number, count: number): Uint8Array[] {
  const all = Buffer.alloc(count * numberedBytes, 7);
  return Array.from({ length: count }, (_, at) => {
    const start = at * numberedBytes;
    all.writeUInt32LE(first + at, start);
    return all.subarray(start, start + numberedBytes);
  });
}

const expected = Buffer.alloc(numberedBytes, 7);

/** Whether `value` begins with the value under this number. */
export function isNumbered(value: Uint8Array, number: number): boolean {
  expected.writeUInt32LE(number);
  return Buffer.compare(value.subarray(0, numberedBytes), expected) === 0;
}
