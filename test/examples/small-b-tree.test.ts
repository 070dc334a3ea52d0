/**
 * The B-tree of examples/ beside a map: with restarts, power cuts and failing calls; snapshots that
 * are read while others write; and a store that holds the nodes of the tree and nothing else.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SmallBTree } from '../../examples/small-b-tree.mjs';
import { type FileSystem, GrainId, Store } from '../../src/index.ts';
import { check, textOf } from '../support/fixtures/store-checks.ts';
import { compareWithModel, cutPower, failCalls, type Model, type Trial } from './trials.ts';

/** The changes of one commit: keys and values; undefined deletes. */
type Change = readonly (readonly [key: number, value: string | undefined])[];

const entriesMax = 4;
const keyOf = (key: number): string => `k${String(key).padStart(3, '0')}`;
const named = (change: Change) => change.map(([key, value]) => [keyOf(key), value] as const);

class PlainEntries implements Model<Change> {
  readonly #entries = new Map<string, string>();

  apply(change: Change): unknown {
    for (const [key, value] of named(change)) {
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
    return undefined;
  }

  state(): [string, string][] {
    return [...this.#entries].sort(([one], [other]) => (one < other ? -1 : 1));
  }
}

function entriesIn(tree: SmallBTree, range?: { gte?: string; lt?: string }): [string, string][] {
  const snapshot = tree.snapshot();
  try {
    return [...snapshot.entries(range)];
  } finally {
    snapshot.release();
  }
}

interface Node {
  readonly isLeaf: boolean;
  readonly entries: readonly [string, string][];
}

/** The number of nodes. Each but the root is at least half full, and all leaves are equally deep. */
function nodesIn(store: Store): number {
  const depths = new Set<number>();
  let nodes = 0;
  const visit = (id: GrainId, depth: number): string => {
    nodes += 1;
    const { isLeaf, entries } = JSON.parse(textOf(store.get(id)) ?? '') as Node;
    expect(entries.length).toBeLessThanOrEqual(entriesMax);
    expect(entries.length).toBeGreaterThanOrEqual(depth > 0 ? entriesMax / 2 : isLeaf ? 1 : 2);
    const keys = entries.map(([key]) => key);
    expect(keys).toEqual([...new Set(keys)].sort());
    if (isLeaf) depths.add(depth);
    else
      for (const [key, child] of entries) expect(visit(GrainId.parse(child), depth + 1)).toBe(key);
    return keys[0] ?? '';
  };
  if (store.embeddedHeader !== undefined) visit(store.embeddedHeader, 0);
  expect(depths.size).toBeLessThanOrEqual(1);
  return nodes;
}

/** Once everything archived is freed, the store has the nodes of the tree alone. */
async function expectOnlyNodes(store: Store): Promise<void> {
  await store.checkpointTo(store.currentBatch);
  expect(store.statistics().values).toBe(nodesIn(store));
  await check.sound(store);
}

const trial: Trial<Change> = {
  model: () => new PlainEntries(),
  async open(fileSystem: FileSystem) {
    const store = await Store.open('tree', { fileSystem, settleBytes: 8192 });
    const tree = new SmallBTree(store, { entriesMax });
    return {
      run: async (change) => await tree.apply(named(change)),
      state: () => entriesIn(tree),
      check: async () => await expectOnlyNodes(store),
      close: async () => await store.close(),
    };
  },
};

const entry = fc.tuple(fc.nat(60), fc.option(fc.string({ maxLength: 5 }), { nil: undefined }));
const one: fc.Arbitrary<Change> = entry.map((only) => [only]);
const many: fc.Arbitrary<Change> = fc.array(entry, { maxLength: 40 });
const groups = fc.array(
  fc.oneof(
    fc.array(one, { minLength: 1, maxLength: 6 }),
    many.map((change) => [change]),
  ),
  { minLength: 1, maxLength: 15 },
);

/** A tree that gets three levels, is replaced in part, and loses most entries, one by one. */
const keys = Array.from({ length: 24 }, (_, at) => (at * 7) % 24);
const history: Change[][] = [
  [keys.map((key) => [key, 'first'])],
  [
    [[3, 'second']],
    [
      [40, 'new'],
      [41, 'new'],
    ],
    [[7, undefined]],
  ],
  ...keys.slice(4, 20).map((key): Change[] => [[[key, undefined]]]),
  [[[1, 'last']]],
];

describe('examples/small-b-tree.mjs', () => {
  it('has the entries of a map, in balanced nodes', async () => {
    const property = fc.asyncProperty(groups, fc.nat(3), async (changes, every) => {
      await compareWithModel(trial, changes, (number) => every > 0 && number % every === 0);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it('is the tree before or after a change when the power is cut, and nothing else', async () => {
    const bounds = { singles: 1, randoms: 1 };
    expect(await cutPower(trial, history, { bounds, stride: 2 })).toBeGreaterThan(40);
  });

  it.each([
    { kind: 'error', code: 'ENOSPC', done: 'nothing' } as const,
    { kind: 'error', code: 'EIO' } as const,
    { kind: 'sync', cache: 'dropped' } as const,
  ])('is as before if a call of the disk fails: %o', async (fault) => {
    expect(await failCalls(trial, history, fault)).toBeGreaterThan(10);
  });

  it('reads ranges as a filter does, and keys that are not there', async () => {
    const property = fc.asyncProperty(
      fc.uniqueArray(fc.nat(60), { maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(61), fc.nat(61)), { maxLength: 10 }),
      async (there, ranges) => {
        const store = await Store.inMemory();
        const tree = new SmallBTree(store, { entriesMax });
        await tree.apply(there.map((key) => [keyOf(key), key]));
        for (let key = 0; key <= 61; key += 1) {
          expect(tree.get(keyOf(key))).toBe(there.includes(key) ? key : undefined);
        }
        for (const [from, to] of ranges) {
          const inRange = there.filter((key) => key >= from && key < to).sort((a, b) => a - b);
          const found = entriesIn(tree, { gte: keyOf(from), lt: keyOf(to) });
          expect(found).toEqual(inRange.map((key) => [keyOf(key), key]));
        }
        await store.close();
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });

  it('gives a snapshot that does not change, while others write, until it is released', async () => {
    const store = await Store.inMemory();
    const tree = new SmallBTree(store, { entriesMax });
    await tree.apply(keys.map((key) => [keyOf(key), 0]));
    const snapshot = tree.snapshot();
    const seen: [string, number][] = [];
    for (const [key, value] of snapshot.entries()) {
      seen.push([key, value]);
      await Promise.all([tree.put(key, 1), tree.delete(keyOf(23 - seen.length))]);
    }
    expect(seen).toEqual([...keys].sort((a, b) => a - b).map((key) => [keyOf(key), 0]));
    expect(snapshot.get(keyOf(5))).toBe(0);
    expect(tree.get(keyOf(23))).toBe(1);
    expect(tree.get(keyOf(0))).toBe(undefined);
    expect(store.statistics().archivedValues).toBeGreaterThan(keys.length);
    const late = snapshot.entries();
    expect(late.next().value).toEqual([keyOf(0), 0]);
    snapshot.release();
    expect(() => snapshot.get(keyOf(0))).toThrow('released');
    expect(() => [...late]).toThrow('released');
    await tree.put('after', 1);
    expect(store.statistics().archivedValues).toBeLessThan(keys.length);
    await expectOnlyNodes(store);
    await store.close();
  });
});
