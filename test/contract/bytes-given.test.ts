/** The bytes that callers hand over: of any realm, of any buffer, and refused when they are gone. */

import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Store } from '../../src/index.ts';
import { check } from '../support/fixtures/store-checks.ts';

function detached(length = 10): Uint8Array {
  const bytes = new Uint8Array(length);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

it('transferred bytes are refused by push and put, and no grains stay reserved', async () => {
  const store = await Store.inMemory();
  const session = store.session();
  check.throws('VARVE_INVALID_ARGUMENT', () => session.push(detached()));
  session.abandon();
  await check.rejects('VARVE_INVALID_ARGUMENT', () => store.put(detached()));
  await check.sound(store);
  expect(store.statistics().values).toBe(0);
  await store.close();
});

it('a large value that is transferred while it is written is refused, and nothing is left', async () => {
  const store = await Store.inMemory();
  const bytes = new Uint8Array(8 * 1024 * 1024);
  const put = store.put(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await check.rejects('VARVE_INVALID_ARGUMENT', () => put);
  await check.sound(store);
  await store.close();
});

it('bytes of another realm, of a shared buffer and empty bytes can be stored', async () => {
  const store = await Store.inMemory();
  const other: Uint8Array = runInNewContext('new Uint8Array([1, 2, 3])');
  const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(4);
  for (const [bytes, expected] of [
    [other, [1, 2, 3]],
    [shared, [4, 4, 4]],
    [new Uint8Array(0), []],
  ] as const) {
    const { id } = await store.put(bytes);
    expect([...(store.get(id) ?? [9])]).toEqual(expected);
  }
  await check.sound(store);
  await store.close();
});
