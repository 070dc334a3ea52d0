/**
 * How a session of a forest ends without a commit: by closing, by failures, by collection; and what
 * it refuses.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { codecs, Forest, type ForestOptions, type Vault } from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { aesGcm, compressed } from '../../../src/vault/index.ts';
import { FedSource } from '../../store/streams/fed-source.ts';
import { expectSameBytes, inChunks, patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { code, expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { turns } from '../../support/fixtures/store-checks.ts';

const key = new Uint8Array(32).fill(9);
const blobs = { key: codecs.utf8, value: codecs.u64 };
const vaults: readonly (readonly [string, () => Vault | undefined])[] = [
  ['without a vault', () => undefined],
  ['in aesGcm', () => aesGcm({ key })],
];

const opened: Forest[] = [];

async function forestOf(options: ForestOptions = {}): Promise<Forest> {
  const forest = await Forest.inMemory(options);
  opened.push(forest);
  return forest;
}

afterEach(async () => {
  for (const forest of opened.splice(0)) await forest.close();
});

async function expectNothingLeft(forest: Forest, others = 0): Promise<void> {
  expect(await findingsOf(forest)).toEqual([]);
  await expectNoLeak(forest, others);
}

describe.each(vaults)('a session of a forest %s', (_name, vaultOf) => {
  it('ends with the forest, its pushes too, though the store stays open', async () => {
    const store = await Store.inMemory();
    const forest = await Forest.on(store, { vault: vaultOf() });
    await forest.tree('blobs', blobs).put('a', 1n);
    const { freeBytes: before } = store.statistics();
    const session = forest.session();
    const id = session.push(patternOf(3_000_000, 1));
    const source = new FedSource(patternOf(2_000_000));
    const pushing = session.pushStream(source.iterable, { length: 2_000_000 });
    source.feed(700_000);
    await turns();
    const closed = code('CLOSED');
    const refused = expect(pushing).rejects.toEqual(closed);
    await forest.close();
    await refused;
    expect(source.cancelled.length).toBe(1);
    expect(() => session.push(patternOf(1))).toThrow(closed);
    expect(() => session.get(id)).toThrow(closed);
    await expect(session.pushAsync(patternOf(1))).rejects.toEqual(closed);
    expect(() => forest.session()).toThrow(closed);
    const again = await Forest.on(store, { vault: vaultOf() });
    await again.transaction((tx) => {
      expect(() => tx.adopt(session)).toThrow(code('INVALID_ARGUMENT'));
    });
    await expectNoLeak(again);
    expect(store.statistics().freeBytes).toBeGreaterThanOrEqual(before);
    await again.close();
    await store.close();
  });

  it('is taken by a transaction that ran when the forest began to close', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    const session = forest.session();
    const id = session.push(patternOf(900, 2));
    const done = forest.transaction(async (tx) => {
      await turns();
      tx.adopt(session);
      tx.tree(forest.tree('blobs', blobs)).put('a', id);
    });
    await forest.close();
    await done;
    const again = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    expectSameBytes(again.get(id) as Uint8Array, patternOf(900, 2));
    await again.close();
  });

  it('fails alone if its stream does, and can be used on', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const session = forest.session();
    const data = patternOf(200_000, 3);
    const own = new Error('its own');
    const cases: [(source: FedSource) => void, unknown, number][] = [
      [(source) => source.feed(200_001), code('INVALID_ARGUMENT'), 1],
      [
        (source) => {
          source.feed(199_999);
          source.end();
        },
        code('INVALID_ARGUMENT'),
        0,
      ],
      [
        (source) => {
          source.feed(200_000);
          source.feed(1);
        },
        code('INVALID_ARGUMENT'),
        1,
      ],
      [
        (source) => {
          source.feed(70_000);
          source.fail(own);
        },
        own,
        0,
      ],
    ];
    for (const [feed, error, cancelled] of cases) {
      const source = new FedSource(data);
      feed(source);
      await expect(session.pushStream(source.iterable, { length: data.length })).rejects.toEqual(
        error,
      );
      expect(source.cancelled.length).toBe(cancelled);
    }
    async function* texts(): AsyncGenerator<Uint8Array> {
      yield 'a' as never;
    }
    await expect(session.pushStream(texts(), { length: 1 })).rejects.toEqual(
      code('INVALID_ARGUMENT'),
    );
    const stopped = new AbortController();
    const source = new FedSource(data);
    source.feed(100_000);
    const { signal } = stopped;
    const pushing = session.pushStream(source.iterable, { length: data.length, signal });
    await turns();
    stopped.abort(own);
    await expect(pushing).rejects.toBe(own);
    expect(source.cancelled.length).toBe(1);
    const invalid = code('INVALID_ARGUMENT');
    for (const options of [
      { length: -1 },
      { length: 1.5 },
      {},
      { length: 1, more: 1 },
      undefined,
    ]) {
      const wrong = session.pushStream(inChunks(data), options as never);
      await expect(wrong).rejects.toEqual(invalid);
    }
    await expect(session.pushStream(1 as never, { length: 1 })).rejects.toEqual(invalid);
    await expect(session.pushStream(inChunks(data), { length: 2 ** 33 })).rejects.toEqual(
      code('TOO_LARGE'),
    );
    const id = await session.pushStream(inChunks(data, 3333), { length: data.length });
    await forest.transaction((tx) => tx.adopt(session));
    expectSameBytes(forest.get(id) as Uint8Array, data);
    await expectNothingLeft(forest, 1);
  });
});

describe('a session of a forest', () => {
  it('is abandoned by the failure of its commit, with all that stood on it', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const forest = await Forest.open('a.varve', { fileSystem: disk });
    const tree = forest.tree('blobs', blobs);
    await tree.put('a', 1n);
    const kept = await forest.transaction((tx) => tx.push(patternOf(70)));
    for (const uploads of [1, 2, 3]) {
      const sessions = Array.from({ length: uploads }, () => forest.session());
      const ids = sessions.map((session) => session.push(patternOf(3000, 2)));
      sessions[0]?.archive(kept);
      const fault = disk.fail('write', 'EIO', { times: 3 });
      const done = sessions.map((session, at) =>
        forest.transaction((tx) => {
          tx.adopt(session);
          tx.tree(tree).put('b', ids[at] as GrainId);
        }),
      );
      for (const one of await Promise.allSettled(done)) expect(one.status).toBe('rejected');
      fault.stop();
      expect(tree.get('b')).toBe(undefined);
      for (const id of ids) expect(forest.get(id)).toBe(undefined);
      for (const session of sessions) {
        expect(() => session.push(patternOf(1))).toThrow(code('SESSION_ENDED'));
      }
      const again = forest.session();
      again.archive(kept);
      again.abandon();
      await tree.put('c', 1n);
      await expectNothingLeft(forest, 1);
    }
    await forest.close();
  });

  it('needs a vault that says how many bytes it adds, for streams only', async () => {
    const forest = await forestOf({ vault: compressed() });
    const session = forest.session();
    const data = patternOf(100_000);
    await expect(session.pushStream(inChunks(data), { length: data.length })).rejects.toEqual(
      code('INVALID_ARGUMENT'),
    );
    const ids = [session.push(data), await session.pushAsync(data)];
    await forest.transaction((tx) => tx.adopt(session));
    for (const id of ids) {
      expectSameBytes(forest.get(id) as Uint8Array, data);
      expectSameBytes(forest.readRange(id, 5, 99_000) as Uint8Array, data.slice(5, 99_000));
    }
  });

  it('refuses a vault that adds other than it says', async () => {
    for (const lie of [0, 27, 29, 100]) {
      const forest = await forestOf({ vault: { ...aesGcm({ key }), overheadBytes: lie } });
      const session = forest.session();
      const source = new FedSource(patternOf(70_000));
      source.feed(70_000);
      const pushing = session.pushStream(source.iterable, { length: 70_000 });
      await expect(pushing).rejects.toEqual(code('VAULT'));
      expect(source.cancelled.length).toBe(1);
      session.abandon();
      await expectNothingLeft(forest);
    }
  });

  it('is refused by a forest that is opened read-only', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem });
    await forest.tree('blobs', blobs).put('a', 1n);
    const reader = await Forest.open('a.varve', { fileSystem, readOnly: true });
    expect(() => reader.session()).toThrow(code('READ_ONLY'));
    await reader.close();
    await forest.close();
  });

  it('is abandoned when it is collected', async () => {
    const forest = await forestOf();
    await forest.tree('blobs', blobs).put('a', 1n);
    const source = new FedSource(patternOf(2_000_000));
    let pushing: Promise<GrainId> | undefined;
    (() => {
      const session = forest.session();
      session.push(patternOf(10_000));
      pushing = session.pushStream(source.iterable, { length: 2_000_000 });
      pushing.catch(() => undefined);
    })();
    source.feed(600_000);
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    for (let turn = 0; turn < 50 && source.cancelled.length === 0; turn++) {
      collectGarbage();
      await turns();
    }
    expect(source.cancelled.length).toBe(1);
    await expect(pushing).rejects.toEqual(code('SESSION_ENDED'));
  });
});
