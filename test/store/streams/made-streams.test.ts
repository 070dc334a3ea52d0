/**
 * `Session.pushStreamWith`: a stream that is made for the id that its value gets.
 *
 * Invariant: where no value comes of it, no grain stays reserved.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, Store } from '../../../src/index.ts';
import { expectSameBytes, inChunks, patternOf } from '../../support/bytes.ts';
import { check } from '../../support/fixtures/store-checks.ts';

/** Bytes that depend on the id. */
function bytesFor(id: GrainId, length: number): Uint8Array {
  return patternOf(length, Number(id % 251n) + 1);
}

/** Bytes of the file that no value can take. */
function usedBytes(store: Store): number {
  const { fileBytes, freeBytes } = store.statistics();
  return fileBytes - freeBytes;
}

describe('a stream that is made for its id', () => {
  it('is stored under it, whatever its length', async () => {
    const store = await Store.inMemory();
    const session = store.session();
    const lengths = [0, 1, 5000, 2 ** 19 - 1, 2 ** 19, 2 ** 19 + 1, 3 * 2 ** 20];
    const ids = await Promise.all(
      lengths.map((length) =>
        session.pushStreamWith((id) => inChunks(bytesFor(id, length), 70_001), { length }),
      ),
    );
    await session.commit();
    for (const [at, id] of ids.entries()) {
      expectSameBytes(store.get(id) as Uint8Array, bytesFor(id, lengths[at] as number));
    }
    await check.sound(store);
    await store.close();
  });

  it('leaves nothing reserved if it cannot be made, fails, or ends its session', async () => {
    const store = await Store.inMemory();
    await store.put(patternOf(100));
    for (const length of [100, 5000, 2_000_000]) {
      const before = usedBytes(store);
      const session = store.session();
      const own = new Error('its own');
      const fails = (): never => {
        throw own;
      };
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield patternOf(length - 1);
        throw own;
      }
      await expect(session.pushStreamWith(fails, { length })).rejects.toBe(own);
      await expect(session.pushStreamWith(failing, { length })).rejects.toBe(own);
      const invalid = 'VARVE_INVALID_ARGUMENT';
      const few = (): AsyncGenerator<Uint8Array> => inChunks(patternOf(length - 1));
      await check.rejects(invalid, () => session.pushStreamWith(few, { length }));
      await check.rejects(invalid, () => session.pushStreamWith(() => 1 as never, { length }));
      await check.rejects(invalid, () => session.pushStreamWith(1 as never, { length }));
      await check.rejects(invalid, () => session.pushStreamWith(few, { length: -1 }));
      const ends = (): AsyncGenerator<Uint8Array> => {
        session.abandon();
        return inChunks(patternOf(length));
      };
      await check.rejects('VARVE_SESSION_ENDED', () => session.pushStreamWith(ends, { length }));
      expect(usedBytes(store)).toBe(before);
    }
    await check.sound(store);
    await store.close();
  });
});
