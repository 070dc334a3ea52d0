/**
 * `Forest.describe` against a plain count of what is stored (`stored-forest.ts`), while
 * transactions, forks, snapshots, checkpoints and compactions go on.
 *
 * Invariant: the plain count is taken before the call; what commits later must not show.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codecs,
  Forest,
  type ForestOptions,
  type ForestSession,
  reducers,
  type Snapshot,
  type Transaction,
} from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { inChunks, patternOf } from '../../support/bytes.ts';
import { code } from '../../support/fixtures/forest-checks.ts';
import { StoredForest } from './stored-forest.ts';

const shapes = {
  fix: { key: codecs.u32, value: codecs.u32 },
  sum: { key: codecs.u32, value: codecs.f64, reducer: reducers.sum((_k: number, v: number) => v) },
  rag: { key: codecs.u32, value: codecs.bytes },
  ver: { key: codecs.u32, value: codecs.bytes, versioned: true },
} as const;

const names = ['fix', 'sum', 'rag', 'ver', 'fix2', 'rag2', 'rag3', 'ver2', 'ver3'] as const;

function treeOf(forest: Forest, name: string) {
  const shape = shapes[name.slice(0, 3) as keyof typeof shapes];
  return forest.tree<number, number | Uint8Array, unknown>(name, shape as never);
}

/** Some are longer than a leaf takes. */
function storedValue(name: string, seed: number): number | Uint8Array {
  if (!/^(rag|ver)/.test(name)) return seed;
  return patternOf(seed % 5 === 0 ? 400 + seed * 3 : seed % 60, seed);
}

const anyTree = fc.constantFrom(...names, 'fix', 'rag', 'ver', 'rag', 'ver');
const key = fc.nat(400);
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('puts' as const),
      tree: anyTree,
      key,
      count: fc.nat(40),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('deletes' as const),
      tree: anyTree,
      key,
      count: fc.nat(200),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fork' as const),
      tree: anyTree,
      to: fc.constantFrom('2', '3', ''),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('drop' as const), tree: anyTree }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('trim' as const), tree: anyTree }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('push' as const), length: fc.nat(3000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stream' as const), length: fc.nat(3000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('archive' as const), at: fc.nat(20) }) },
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

const step = fc.record({
  changes: fc.array(change, { maxLength: 5 }),
  and: fc.constantFrom('nothing', 'throw', 'snapshot', 'release', 'checkpoint', 'compact', 'raw'),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Trees of several levels, some of them forks. */
const lead: Step = {
  changes: [
    { do: 'puts', tree: 'rag', key: 0, count: 150 },
    { do: 'puts', tree: 'fix', key: 0, count: 300 },
    { do: 'puts', tree: 'ver', key: 0, count: 60 },
    { do: 'fork', tree: 'rag', to: '3' },
    { do: 'push', length: 200 },
  ],
  and: 'nothing',
};

/** A forest, and the values of the user's own that it has. */
class Life {
  forest: Forest;
  readonly stored: StoredForest;
  pushed = new Set<GrainId>();
  readonly #snapshots: Snapshot[] = [];
  #session: ForestSession | undefined;
  /** Its values. */
  #streamed: GrainId[] = [];

  constructor(forest: Forest) {
    this.forest = forest;
    this.stored = new StoredForest(forest.store);
  }

  async run({ changes, and }: Step): Promise<void> {
    const { forest } = this;
    const { store } = forest;
    this.#session = forest.session();
    this.#streamed = [];
    const session = this.#session;
    for (const one of changes) {
      if (one.do !== 'stream') continue;
      const data = patternOf(one.length, one.length);
      const { length } = data;
      this.#streamed.push(await session.pushStream(inChunks(data, 700), { length }));
    }
    const own = new Set(this.pushed);
    const done = forest.transaction((tx) => {
      for (const one of changes) this.#change(tx, one, own);
      if (and === 'throw') throw new Error('given up');
    });
    await done.then(
      () => {
        this.pushed = own;
      },
      (error: Error) => expect(error.message).toBe('given up'),
    );
    session.abandon();
    if (and === 'snapshot') this.#snapshots.push(forest.snapshot());
    if (and === 'release') for (const one of this.#snapshots.splice(0)) one.release();
    if (and === 'checkpoint') {
      await this.stored.follow();
      await store.checkpointTo(store.currentBatch).catch(() => undefined);
    }
    if (and === 'compact') await store.compact();
    if (and === 'raw') this.pushed.add((await store.put(patternOf(90, 3))).id);
  }

  #change(tx: Transaction, one: Change, own: Set<GrainId>): void {
    const { forest } = this;
    switch (one.do) {
      case 'puts': {
        const tree = tx.tree(treeOf(forest, one.tree));
        for (let at = 0; at < one.count; at++)
          tree.put(one.key + at, storedValue(one.tree, one.key + at));
        return;
      }
      case 'deletes':
        tx.tree(treeOf(forest, one.tree)).deleteRange({ gte: one.key, lt: one.key + one.count });
        return;
      case 'fork': {
        const to = one.tree.slice(0, 3) + one.to;
        try {
          tx.fork(one.tree, to);
        } catch (error) {
          expect(error).toEqual(code('EXISTS'));
        }
        return;
      }
      case 'drop':
        tx.drop(one.tree);
        return;
      case 'trim': {
        const tree = treeOf(forest, one.tree);
        if (!one.tree.startsWith('ver') || !forest.names().includes(one.tree)) return;
        tx.tree(tree).trimHistory(Math.floor(tree.lastSequence / 2));
        return;
      }
      case 'push':
        own.add(tx.push(patternOf(one.length, 1)));
        return;
      case 'stream':
        this.#adopt(tx, own);
        return;
      case 'archive': {
        const id = [...own][one.at];
        if (id === undefined) return;
        own.delete(id);
        tx.archive(id);
      }
    }
  }

  /** What was streamed becomes a part of the transaction, once. */
  #adopt(tx: Transaction, own: Set<GrainId>): void {
    if (this.#session === undefined) return;
    tx.adopt(this.#session);
    this.#session = undefined;
    for (const id of this.#streamed.splice(0)) own.add(id);
  }

  async end(): Promise<void> {
    for (const one of this.#snapshots.splice(0)) one.release();
    await this.forest.close();
  }
}

/** Compares, also if a transaction runs during the measurement. */
async function compare(life: Life, during: Step | undefined): Promise<void> {
  await life.stored.follow();
  const expected = life.stored.count();
  const described = life.forest.describe({ measure: true });
  if (during !== undefined) await life.run(during);
  const { trees, pushedBytes } = await described;
  const found = new Map(
    trees.map(({ name, bytes, sharedBytes }) => [name, { bytes, sharedBytes }]),
  );
  expect(found).toEqual(new Map(expected.trees));
  expect(pushedBytes).toBe(expected.pushedBytes);
}

/** Bytes in the file of the values of the user's own that are there. */
async function pushedBytesOf(life: Life): Promise<number> {
  await life.stored.follow();
  return life.stored.liveBytes(life.pushed);
}

const nothing: Step = { changes: [], and: 'nothing' };
/** Histories that long campaigns failed with, once. */
const found: [Step[]][] = [
  [
    [
      { changes: [{ do: 'fork', tree: 'ver', to: '2' }], and: 'nothing' },
      { changes: [{ do: 'deletes', tree: 'ver2', key: 0, count: 1 }], and: 'nothing' },
      nothing,
    ],
  ],
  [
    [
      nothing,
      nothing,
      {
        changes: [
          { do: 'puts', tree: 'fix', key: 0, count: 8 },
          { do: 'puts', tree: 'ver', key: 14, count: 17 },
        ],
        and: 'nothing',
      },
      nothing,
    ],
  ],
];
const runs = Number(process.env['VARVE_DESCRIBE_RUNS'] ?? 20);
const options: ForestOptions = { nodeBytes: 512, journalBytes: 0, checkpoint: 'manual' };

describe('a measured forest', () => {
  it('has the bytes of a plain count, while transactions go on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 7 }), async (steps) => {
        const life = new Life(await Forest.inMemory({ ...options, cacheBytes: 200_000 }));
        await life.run(lead);
        for (const [at, one] of steps.entries()) {
          if (at % 2 === 0) await life.run(one);
          else await compare(life, one);
          await compare(life, undefined);
        }
        await life.end();
      }),
      { numRuns: runs, examples: found },
    );
  });

  it.each([
    ['logs its changes in roots', undefined, undefined],
    ['writes states bit by bit', 700, undefined],
    ['is encrypted', 700, aesGcm({ key: new Uint8Array(32).fill(5) })],
  ])(
    'that %s has all bytes of pushed values, and no others',
    async (_name, journalBytes, vault) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 7 }), async (steps) => {
          const fileSystem = memoryFileSystem();
          const own = { ...options, journalBytes, vault };
          const store = await Store.open('a.varve', { fileSystem });
          const life = new Life(await Forest.on(store, own));
          await life.run(lead);
          for (const [at, one] of steps.entries()) {
            await life.run(one.and === 'raw' ? { ...one, and: 'nothing' } : one);
            const before = [...life.forest.names()].sort();
            const expected = await pushedBytesOf(life);
            const described = life.forest.describe({ measure: true });
            if (at % 2 === 0) {
              await life.run({ changes: [], and: 'nothing' });
              for (let put = 0; put < 12; put++) {
                await treeOf(life.forest, 'fix').put(put * 23 + at, at);
              }
            }
            const { trees, pushedBytes } = await described;
            expect(pushedBytes).toBe(expected);
            expect(trees.map(({ name }) => name)).toEqual(before);
            // What the next process finds is the same, whatever it replays.
            await life.end();
            life.forest = await Forest.on(store, own);
            const later = await life.forest.describe({ measure: true });
            expect(later.pushedBytes).toBe(await pushedBytesOf(life));
          }
          await life.end();
          await store.close();
        }),
        { numRuns: runs, examples: found },
      );
    },
  );
});
