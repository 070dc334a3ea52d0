/**
 * `Session.pushWith`: a value that is made for the id that it gets.
 *
 * Invariant: where no value comes of it, no grain stays reserved.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, type Session, Store } from '../../../src/index.ts';
import { expectSameBytes } from '../../support/bytes.ts';
import { check } from '../../support/fixtures/store-checks.ts';

function code(name: string): Error {
  return expect.objectContaining({ code: `VARVE_${name}` }) as Error;
}

/** Bytes that say which id they are for. */
function named(id: GrainId, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(Buffer.from(String(id)).subarray(0, length));
  return bytes;
}

describe('a value that is made for its id', () => {
  it('is stored under it, whatever its length', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open('a.varve', { fileSystem });
    const session = store.session();
    const lengths = [0, 1, 7, 8, 100, 5000, 2 ** 20 - 8, 2 ** 20, 3 * 2 ** 20];
    const ids = lengths.map((length) => {
      let given: GrainId | undefined;
      const id = session.pushWith(length, (one) => {
        given = one;
        return named(one, length);
      });
      expect(given).toBe(id);
      expectSameBytes(session.get(id) as Uint8Array, named(id, length));
      return id;
    });
    await session.commit();
    await store.close();
    const again = await Store.open('a.varve', { fileSystem });
    for (const [at, id] of ids.entries()) {
      expectSameBytes(again.get(id) as Uint8Array, named(id, lengths[at] as number));
    }
    for await (const { message } of again.verify({ deep: true })) expect(message).toBe('nothing');
    await again.close();
  });

  it('is copied like any other, and may push others while it is made', async () => {
    const store = await Store.inMemory();
    const session = store.session();
    const memory = new Uint8Array(10).fill(1);
    let inner: GrainId | undefined;
    const id = session.pushWith(10, () => {
      inner = session.push(new Uint8Array(10).fill(2));
      return memory;
    });
    memory.fill(9);
    await session.commit();
    expect(inner).not.toBe(id);
    expect(store.get(id)).toEqual(new Uint8Array(10).fill(1));
    expect(store.get(inner as GrainId)).toEqual(new Uint8Array(10).fill(2));
    await store.close();
  });

  it('leaves nothing reserved if it cannot be made, or ends the session', async () => {
    const store = await Store.inMemory();
    await store.put(new Uint8Array(10));
    const reason = new Error('no');
    const wrong: readonly (readonly [(session: Session) => unknown, unknown])[] = [
      [
        () => {
          throw reason;
        },
        reason,
      ],
      [() => new Uint8Array(9), code('INVALID_ARGUMENT')],
      [() => 'ten bytes!', code('INVALID_ARGUMENT')],
      [() => undefined, code('INVALID_ARGUMENT')],
      [
        (session) => {
          session.abandon();
          return new Uint8Array(10);
        },
        code('SESSION_ENDED'),
      ],
    ];
    for (const [make, error] of wrong) {
      const session = store.session();
      expect(() => session.pushWith(10, () => make(session) as Uint8Array)).toThrow(error as Error);
      session.abandon();
      // It finds grains that are neither free nor in use, once no session is open.
      await check.sound(store);
    }
    await store.close();
  });

  it('has a length, and is made by a function', async () => {
    const store = await Store.inMemory();
    const session = store.session();
    for (const length of [-1, 1.5, Number.NaN, '1', undefined]) {
      const pushing = () => session.pushWith(length as number, () => new Uint8Array(1));
      expect(pushing).toThrow(code('INVALID_ARGUMENT'));
    }
    expect(() => session.pushWith(2 ** 32, () => new Uint8Array(1))).toThrow(code('TOO_LARGE'));
    expect(() => session.pushWith(1, undefined as never)).toThrow(code('INVALID_ARGUMENT'));
    expect(await session.commit()).toBe(0);
    await store.close();
  });
});
