/** What counts as bytes, and results that belong to whoever is given them. */

import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
import { isBytes, ownedByThread, ResultMemory } from '../../src/util/bytes.ts';

function detached(): Uint8Array {
  const bytes = new Uint8Array(10);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

it('bytes are Uint8Arrays of any realm, Buffers and empty ones too', () => {
  const other = runInNewContext('new Uint8Array([1, 2])');
  for (const bytes of [new Uint8Array(3), new Uint8Array(0), Buffer.from('a'), other]) {
    expect(isBytes(bytes)).toBe(true);
  }
  const emptyOfOther = runInNewContext('new Uint8Array(0)');
  expect(isBytes(emptyOfOther)).toBe(true);
});

it('a transferred array, another view and a lookalike are no bytes', () => {
  expect(isBytes(detached())).toBe(false);
  const lookalike = { [Symbol.toStringTag]: 'Uint8Array', length: 1 };
  for (const other of [new Uint16Array(2), new DataView(new ArrayBuffer(1)), [1], 'a', lookalike]) {
    expect(isBytes(other)).toBe(false);
  }
});

it('an array that ends behind its resizable buffer is no bytes', () => {
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void };
  const buffer = new Resizable(8, { maxByteLength: 16 });
  const bytes = new Uint8Array(buffer, 4, 4);
  const tracking = new Uint8Array(buffer);
  buffer.resize(4);
  expect(isBytes(bytes)).toBe(false);
  expect(isBytes(tracking) && tracking.length === 4).toBe(true);
});

it('bytes that another thread could change are copied, others are not', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
  const own = ownedByThread(shared);
  shared.fill(8);
  expect([...own]).toEqual([7, 7, 7, 7]);
  const plain = new Uint8Array(2);
  expect(ownedByThread(plain)).toBe(plain);
});

it('a result that is transferred leaves the others as they are, an empty one too', () => {
  const memory = new ResultMemory();
  const results = [0, 5, 9, 0, 1024, 3].map((length) => memory.take(length).fill(length));
  for (const result of results.slice(0, 3)) {
    try {
      structuredClone(result, { transfer: [result.buffer] });
    } catch {
      // Refused, which is as good.
    }
  }
  for (const [at, length] of [0, 1024, 3].entries()) {
    expect(results[at + 3]?.length).toBe(length);
  }
  expect(memory.take(0).length).toBe(0);
  expect(memory.take(8).length).toBe(8);
});

it('results have their own buffers if a transfer cannot be refused', async () => {
  vi.resetModules();
  const fresh = await import('../../src/util/bytes.ts');
  vi.stubGlobal('process', { getBuiltinModule: () => ({ markAsUntransferable: () => undefined }) });
  const memory = new fresh.ResultMemory();
  const one = memory.take(4);
  const two = memory.take(4);
  vi.unstubAllGlobals();
  expect(one.buffer).not.toBe(two.buffer);
});
