/**
 * Streams in frames: a sealed value is read back in any parts, nowhere in the file as plain text,
 * and refused if a bit of it was changed, or if frames are moved, repeated, left out or cut off.
 *
 * Invariant: tampering is done on what the store gives back, as someone would who has the file and
 * makes its checksums right again.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Forest, type Vault } from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { aesGcm, compressed } from '../../../src/vault/index.ts';
import { expectSameBytes, inChunks, patternOf } from '../../support/bytes.ts';
import { code } from '../../support/fixtures/forest-checks.ts';
import { contentOf, listOf } from '../../support/fixtures/store-checks.ts';

const key = new Uint8Array(32).fill(9);
const frame = 65_536;
const added = 28;

afterEach(() => {
  vi.restoreAllMocks();
});

async function uploaded(
  vault: Vault | undefined,
  data: Uint8Array,
  chunk = 10_000,
): Promise<{ forest: Forest; id: GrainId }> {
  const forest = await Forest.inMemory({ vault });
  const session = forest.session();
  const id = await session.pushStream(inChunks(data, chunk), { length: data.length });
  await forest.transaction((tx) => tx.adopt(session));
  return { forest, id };
}

async function streamed(forest: Forest, id: GrainId, options = {}): Promise<Uint8Array> {
  return Buffer.concat(await listOf(forest.createReadStream(id, options) ?? fail()));
}

function fail(): never {
  throw new Error('the value is there');
}

/** The store gives these bytes in place of what is stored, whole and in parts. */
function tamper(forest: Forest, changed: (stored: Uint8Array) => Uint8Array, id: GrainId): void {
  const stored = changed(forest.store.get(id) as Uint8Array).slice() as Uint8Array<ArrayBuffer>;
  vi.spyOn(Store.prototype, 'get').mockReturnValue(stored);
  vi.spyOn(Store.prototype, 'lengthOf').mockReturnValue(stored.length);
  vi.spyOn(Store.prototype, 'readRange').mockImplementation((_id, start, end) =>
    stored.slice(start, end),
  );
}

const cases = [
  ['without a vault', (): Vault | undefined => undefined],
  ['in aesGcm', (): Vault => aesGcm({ key })],
  ['in aesGcm of a vault that adds nothing', (): Vault => aesGcm({ key, inner: plainVault })],
] as const;

const plainVault: Vault = {
  name: 'plain',
  overheadBytes: 0,
  seal: (plain) => plain,
  open: (sealed) => sealed,
};

describe.each(cases)('a streamed value %s', (_name, vaultOf) => {
  it('is read in any parts', async () => {
    const near = fc
      .constantFrom(0, frame, 2 * frame, 3 * frame)
      .chain((at) => fc.integer({ min: -3, max: 3 }).map((by) => Math.max(0, at + by)));
    const place = fc.oneof(near, fc.nat(200_000));
    const part = fc.record({
      start: place,
      end: place,
      chunkBytes: fc.integer({ min: 1, max: 90_000 }),
    });
    await fc.assert(
      fc.asyncProperty(
        place,
        fc.integer({ min: 1, max: 150_000 }),
        fc.array(part, { maxLength: 4 }),
        async (length, chunk, parts) => {
          const data = patternOf(length, length);
          const { forest, id } = await uploaded(vaultOf(), data, chunk);
          expectSameBytes(forest.get(id) as Uint8Array, data);
          expectSameBytes((await forest.getAsync(id)) as Uint8Array, data);
          expectSameBytes(await streamed(forest, id), data);
          for (const { start, end, chunkBytes } of parts) {
            const expected = start < end ? data.slice(start, end) : new Uint8Array(0);
            expectSameBytes(forest.readRange(id, start, end) as Uint8Array, expected);
            const later = await forest.readRangeAsync(id, start, end);
            expectSameBytes(later as Uint8Array, expected);
            // Short chunks of a long value would take long.
            const own = { start, end, chunkBytes: Math.max(chunkBytes, 500) };
            expectSameBytes(await streamed(forest, id, own), expected);
          }
          await forest.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is read by a reader with memory of its own, and ends early', async () => {
    const data = patternOf(200_000, 4);
    const { forest, id } = await uploaded(vaultOf(), data);
    const reader = (forest.createReadStream(id) ?? fail()).getReader({ mode: 'byob' });
    const found: Uint8Array[] = [];
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(30_000));
      if (done) break;
      found.push(value.slice());
    }
    expectSameBytes(Buffer.concat(found), data);
    const { oldestGuard } = forest.store.statistics();
    for await (const _chunk of forest.createReadStream(id, { chunkBytes: 10 }) ?? fail()) break;
    const stopped = new AbortController();
    const stream = forest.createReadStream(id, { signal: stopped.signal, chunkBytes: 7 }) ?? fail();
    const other = stream.getReader();
    await other.read();
    stopped.abort(new Error('stopped'));
    await expect(
      (async () => {
        for (;;) if ((await other.read()).done) return;
      })(),
    ).rejects.toThrow('stopped');
    expect(forest.store.statistics().oldestGuard).toBe(oldestGuard);
    await forest.close();
  });

  it('is asked for with whole numbers, by its id, while the forest is open', async () => {
    const { forest, id } = await uploaded(vaultOf(), patternOf(100));
    const invalid = code('INVALID_ARGUMENT');
    for (const [start, end] of [
      [-1, 5],
      [0, -1],
      [0.5, 2],
      [0, 2.5],
      ['0', 1],
      [0, undefined],
    ]) {
      expect(() => forest.readRange(id, start as never, end as never)).toThrow(invalid);
      await expect(forest.readRangeAsync(id, start as never, end as never)).rejects.toEqual(
        invalid,
      );
    }
    expect(() => forest.createReadStream(id, { chunkBytes: 0 })).toThrow(invalid);
    expect(() => forest.createReadStream(id, { more: 1 } as never)).toThrow(invalid);
    expect(() => forest.readRange(1 as never, 0, 1)).toThrow(invalid);
    const none = (id + 10_000n) as GrainId;
    expect(forest.readRange(none, 0, 1)).toBe(undefined);
    expect(await forest.readRangeAsync(none, 0, 1)).toBe(undefined);
    expect(forest.createReadStream(none)).toBe(undefined);
    await forest.close();
    expect(() => forest.readRange(id, 0, 1)).toThrow(code('CLOSED'));
    expect(() => forest.createReadStream(id)).toThrow(code('CLOSED'));
    await expect(forest.readRangeAsync(id, 0, 1)).rejects.toEqual(code('CLOSED'));
  });
});

describe('a streamed value in an encrypted forest', () => {
  it('is nowhere in the file as plain text', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: aesGcm({ key }) });
    const data = Buffer.from('a secret that must not be seen '.repeat(40_000));
    const session = forest.session();
    await session.pushStream(inChunks(data, 9999), { length: data.length });
    await session.pushAsync(data);
    await forest.transaction((tx) => tx.adopt(session));
    await forest.close();
    const content = await contentOf(fileSystem, 'a.varve');
    expect(content.length).toBeGreaterThan(data.length * 2);
    expect(Buffer.from(content).includes('must not be seen')).toBe(false);
  });

  it('seals each frame under a context of its own', async () => {
    const contexts = new Set<string>();
    const inner = aesGcm({ key });
    const vault: Vault = {
      ...inner,
      seal(plain, context) {
        const name = Buffer.from(context).toString('hex');
        expect(contexts).not.toContain(name);
        contexts.add(name);
        return inner.seal(plain, context);
      },
    };
    const forest = await Forest.inMemory({ vault });
    const sessions = [forest.session(), forest.session()];
    const pushes = sessions.flatMap((session) =>
      [1, frame, 5 * frame].map((length) =>
        session.pushStream(inChunks(patternOf(length), 5000), { length }),
      ),
    );
    await Promise.all(pushes);
    await forest.transaction((tx) => {
      for (const session of sessions) tx.adopt(session);
    });
    expect([...contexts].filter((name) => name.startsWith('05')).length).toBe(14);
    await forest.close();
  });

  it('is refused if a bit of it was changed, if it was cut, or if frames have changed places', async () => {
    const data = patternOf(3 * frame + 100, 5);
    const { forest, id } = await uploaded(aesGcm({ key }), data);
    const { length } = forest.store.get(id) as Uint8Array;
    const body = length - (data.length + 4 * added);
    const step = frame + added;
    const vault = code('VAULT');
    const refuse = (changed: (stored: Uint8Array) => Uint8Array): void => {
      tamper(forest, changed, id);
      expect(() => forest.get(id)).toThrow(vault);
      expect(() => forest.readRange(id, 0, data.length)).toThrow(vault);
      vi.restoreAllMocks();
    };
    const bits = [...Array.from({ length: body * 8 }, (_, at) => at)];
    for (let at = body * 8 + 3; at < length * 8; at += 40_009) bits.push(at);
    for (const bit of bits) {
      refuse((stored) => {
        const bytes = stored.slice();
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        return bytes;
      });
    }
    for (const cut of [0, 10, body, body + step, body + 2 * step, body + 3 * step, length - 1]) {
      refuse((stored) => stored.slice(0, cut));
    }
    const moved = (order: readonly number[]) => (stored: Uint8Array) =>
      Buffer.concat([
        stored.subarray(0, body),
        ...order.map((at) => stored.subarray(body + at * step, body + (at + 1) * step)),
      ]);
    for (const order of [
      [1, 0, 2, 3],
      [0, 0, 2, 3],
      [0, 2, 3],
      [1, 2, 3],
      [0, 1, 2, 2, 3],
    ]) {
      refuse(moved(order));
    }
    tamper(forest, moved([0, 1, 2, 3]), id);
    expectSameBytes(forest.get(id) as Uint8Array, data);
    await forest.close();
  });

  it('is refused in the place of another, whole or from a frame on', async () => {
    const vault = aesGcm({ key });
    const forest = await Forest.inMemory({ vault });
    const session = forest.session();
    const ids: GrainId[] = [];
    for (const seed of [1, 2]) {
      const data = patternOf(2 * frame, seed);
      ids.push(await session.pushStream(inChunks(data), { length: data.length }));
    }
    await forest.transaction((tx) => tx.adopt(session));
    const [one, other] = ids.map((id) => forest.store.get(id) as Uint8Array) as [
      Uint8Array,
      Uint8Array,
    ];
    const body = one.length - 2 * (frame + added);
    for (const cut of [0, body, body + frame + added]) {
      tamper(
        forest,
        (stored) => Buffer.concat([stored.subarray(0, cut), other.subarray(cut)]),
        ids[0] as GrainId,
      );
      expect(() => forest.get(ids[0] as GrainId)).toThrow(code('VAULT'));
      expect(() => forest.readRange(ids[0] as GrainId, 0, 2 * frame)).toThrow(code('VAULT'));
      vi.restoreAllMocks();
    }
    await forest.close();
  });

  it('reads only the frames of a range', async () => {
    const data = patternOf(40 * frame, 2);
    const { forest, id } = await uploaded(aesGcm({ key }), data);
    const read = vi.spyOn(Store.prototype, 'readRange');
    expectSameBytes(
      forest.readRange(id, 20 * frame - 1, 20 * frame + 1) as Uint8Array,
      data.slice(20 * frame - 1, 20 * frame + 1),
    );
    const bytes = read.mock.calls.reduce((sum, [, start, end]) => sum + end - start, 0);
    expect(bytes).toBeLessThan(2 * (frame + added) + 1000);
    vi.restoreAllMocks();
    await forest.close();
  });

  it('that was pushed in one piece is read in parts too', async () => {
    for (const vault of [aesGcm({ key }), compressed()]) {
      const forest = await Forest.inMemory({ vault });
      const data = patternOf(90_000, 8);
      const id = await forest.transaction((tx) => tx.push(data));
      expectSameBytes(forest.readRange(id, 7, 80_000) as Uint8Array, data.slice(7, 80_000));
      const later = await forest.readRangeAsync(id, 7, 80_000);
      expectSameBytes(later as Uint8Array, data.slice(7, 80_000));
      const part = await streamed(forest, id, { start: 7, end: 80_000, chunkBytes: 1000 });
      expectSameBytes(part, data.slice(7, 80_000));
      await forest.close();
    }
  });
});
