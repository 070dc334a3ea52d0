/**
 * Values of a forest that say something else than was stored, with a checksum that is right: each
 * of them wounded by chance, and lies that are made to look true (levels, counts, lengths, keys,
 * references in a circle, shares).
 *
 * The lie is told where the forest asks its store. Every call answers or throws VARVE_CORRUPT (or
 * what the user's own codec makes of other bytes: VARVE_CODEC), after a bounded number of reads;
 * `verify` never throws. Nothing is committed on top of a lie here.
 * VARVE_CRASH_SCALE: more wounds of each value.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isVarveError, VarveError } from '../../../src/errors.ts';
import {
  codecs,
  Forest,
  reducers,
  type Transaction,
  type Tree,
} from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Session, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { Random } from '../../support/random.ts';

const counts = { lies: 0, calls: 0, refused: 0, findings: 0 };
const readsMax = 5000;
const entriesMax = 5000;
const stop = new Error('the body throws');

const number = {
  key: codecs.u32,
  value: codecs.uint,
  reducer: reducers.sum((_key: number, value: number) => value),
};
const ragged = { key: codecs.utf8, value: codecs.bytes, versioned: true };
const options = { nodeBytes: 512, nodeCacheBytes: 0, checkpoint: 'manual' } as const;

let store: Store;
let ids: GrainId[] = [];
const whole = new Map<GrainId, Uint8Array>();

const key = (at: number): string => `${'k'.repeat(at % 9)}${at}`;

async function plant(forest: Forest): Promise<void> {
  const numbers = forest.tree('numbers', number);
  const texts = forest.tree('texts', ragged);
  await forest.transaction((tx) => {
    for (let at = 0; at < 400; at++) tx.tree(numbers).put(at * 5, at);
    for (let at = 0; at < 60; at++) {
      tx.tree(texts).put(key(at), patternOf(at % 13 === 0 ? 1300 : 20 + (at % 40), at));
    }
  });
  await forest.transaction((tx) => {
    tx.fork('numbers', 'fork');
    tx.fork('texts', 'texts2');
    tx.tree(texts).put(key(3), patternOf(9));
    tx.tree(numbers).deleteRange({ gte: 100, lt: 300 });
  });
}

beforeAll(async () => {
  const fileSystem = memoryFileSystem();
  const first = await Store.open('a.varve', { fileSystem });
  const pushes = vi.spyOn(Session.prototype, 'push');
  const forest = await Forest.on(first, options);
  await plant(forest);
  // Changes that are in roots only.
  for (let at = 0; at < 6; at++) await forest.tree('texts', ragged).put(key(at), patternOf(20, at));
  await forest.tree('texts', ragged).put(key(7), patternOf(1300));
  await forest.tree('texts', ragged).delete(key(4));
  const pushed = pushes.mock.results.map(({ value }) => value as GrainId);
  pushes.mockRestore();
  expect(forest.statistics().journalBytes).toBeGreaterThan(100);
  await first.checkpointTo(first.currentBatch);
  await first.close();
  store = await Store.open('a.varve', { fileSystem });
  ids = pushed.filter((id) => store.has(id));
  for (const id of ids) whole.set(id, store.get(id) as Uint8Array);
});

// ── telling lies ──

/** While `run` lasts the store gives these bytes; so many reads are more than anyone needs. */
async function lying(lies: ReadonlyMap<GrainId, Uint8Array>, run: () => Promise<void>) {
  let reads = 0;
  const tell = (id: GrainId): Uint8Array<ArrayBuffer> | undefined => {
    reads += 1;
    if (reads > readsMax) throw new Error('it reads without end');
    const told = lies.get(id) ?? whole.get(id);
    return told === undefined ? undefined : Uint8Array.from(told);
  };
  const get = vi.spyOn(store, 'get').mockImplementation(tell);
  const getAsync = vi.spyOn(store, 'getAsync').mockImplementation(async (id) => tell(id));
  try {
    counts.lies += 1;
    await run();
  } finally {
    get.mockRestore();
    getAsync.mockRestore();
  }
}

function checkRefusal(error: unknown, more: readonly VarveCode[] = []): void {
  counts.refused += 1;
  const allowed = ['VARVE_CORRUPT', 'VARVE_CODEC', 'VARVE_TREE_MISMATCH', ...more] as const;
  if (!allowed.some((code) => isVarveError(error, code))) throw error;
}

type VarveCode = Parameters<typeof isVarveError>[1];

/** The call answers, or refuses as it may. */
async function ask(call: () => unknown, more: readonly VarveCode[] = []): Promise<void> {
  counts.calls += 1;
  try {
    await call();
  } catch (error) {
    if (error !== stop) checkRefusal(error, more);
  }
}

function takeAll(iterator: Iterator<unknown>): void {
  for (let taken = 0; iterator.next().done !== true; taken++) {
    if (taken > entriesMax) throw new Error('it gives entries without end');
  }
}

const openTrees = (forest: Forest) => ({
  numbers: () => forest.tree('numbers', number),
  fork: () => forest.tree('fork', number),
  texts: () => forest.tree('texts', ragged),
  texts2: () => forest.tree('texts2', ragged),
});

/** Everything that can be asked of the forest and changed in it. */
async function askAll(forest: Forest): Promise<void> {
  const { numbers, fork, texts, texts2 } = openTrees(forest);
  await ask(() => forest.names());
  for (const tree of [numbers, fork]) {
    await ask(() => tree().reduce());
    await ask(() => tree().reduce({ gte: 35, lt: 1700 }));
    await askTree(forest, tree, [7, 900, 5000]);
  }
  for (const tree of [texts, texts2]) {
    await ask(() => takeAll(tree().changes()));
    // The lie may be about the newest change, or the oldest.
    const asked = () => takeAll(tree().changes({ after: 20 }));
    await ask(asked, ['VARVE_INVALID_ARGUMENT', 'VARVE_LOG_TRUNCATED']);
    await askTree(forest, tree, [key(3), key(13), key(59), 'z']);
  }
  await askChange(forest, (tx) => tx.fork('numbers', 'new'));
  await askChange(forest, (tx) => tx.fork('texts', 'new'));
  await askChange(forest, (tx) => tx.drop('fork'));
  await askChange(forest, (tx) => tx.drop('texts'));
  await askChange(forest, (tx) => tx.tree(texts2()).trimHistory(30));
  for await (const { message } of forest.verify({ deep: true })) {
    expect(message).not.toBe('');
    counts.findings += 1;
  }
}

async function askTree<K, V, R>(
  forest: Forest,
  tree: () => Tree<K, V, R>,
  keys: readonly K[],
): Promise<void> {
  const [low, middle] = keys as [K, K];
  for (const one of keys) {
    await ask(() => tree().get(one));
    await ask(() => tree().getAsync(one));
  }
  await ask(() => takeAll(tree().range()));
  await ask(() => takeAll(tree().keys({ reverse: true, gt: low })));
  await ask(async () => {
    for await (const entry of tree().rangeAsync({ lt: middle })) expect(entry).toHaveLength(2);
  });
  await ask(() => tree().count({ gte: low, lt: middle }));
  await ask(() => tree().first());
  await ask(() => tree().last());
  await askChange(forest, (tx) => {
    const writable = tx.tree(tree());
    for (const one of keys) writable.put(one, values.get(typeof one) as V);
    for (const one of keys) writable.delete(one);
  });
  await askChange(forest, (tx) => tx.tree(tree()).deleteRange({ gt: low }));
  await askChange(forest, (tx) => tx.tree(tree()).deleteRange({ gte: low, lt: middle }));
}

const values = new Map<string, unknown>([
  ['number', 7],
  ['string', patternOf(300)],
]);

/** A change that comes to nothing. */
async function askChange(forest: Forest, change: (tx: Transaction) => void): Promise<void> {
  await ask(() =>
    forest.transaction((tx) => {
      change(tx);
      throw stop;
    }),
  );
}

/** Opens the forest on these lies, where that can be, and asks everything. */
async function askOn(lies: ReadonlyMap<GrainId, Uint8Array>): Promise<void> {
  await lying(lies, async () => {
    let forest: Forest;
    try {
      forest = await Forest.on(store, options);
    } catch (error) {
      checkRefusal(error, ['VARVE_NOT_A_FOREST', 'VARVE_UNSUPPORTED_VERSION']);
      return;
    }
    try {
      await askAll(forest);
    } finally {
      await closed(forest);
    }
  });
}

/** Closes it while nothing can be committed: what waits to be written goes on waiting. */
async function closed(forest: Forest): Promise<void> {
  const full = new VarveError('VARVE_IO', 'the disk is full');
  const commit = vi.spyOn(Session.prototype, 'commit').mockRejectedValue(full);
  await forest.close();
  commit.mockRestore();
}

// ── lies by chance ──

function wounded(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (let left = 1 + random.below(3); left > 0; left--) {
    // Lengths, levels and counts are in front.
    const at = random.chance(0.5) ? random.below(Math.min(24, copy.length)) : undefined;
    const place = at ?? random.below(copy.length);
    if (random.chance(0.5)) copy[place] = (copy[place] as number) ^ (1 << random.below(8));
    else copy[place] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6)] as number;
  }
  if (random.chance(0.85)) return copy;
  const cut = random.below(copy.length);
  return random.chance(0.5) ? copy.slice(0, cut) : Uint8Array.from([...copy, ...copy.slice(cut)]);
}

// ── lies that look true ──

const head = (level: number, count: number): number[] => [level, 0, 0, 0, count, 0, 0, 0];

/** A branch of the tree `numbers`, with these children and what is told of each. */
function branch(level: number, children: readonly (readonly [GrainId, number])[]): Uint8Array {
  const bytes = head(level, children.length);
  bytes[1] = 1;
  for (let at = 1; at < children.length; at++) bytes.push(0, 0, at, 0);
  for (const [id, count] of children) {
    for (let byte = 0n; byte < 8n; byte++) bytes.push(Number((id >> (8n * byte)) & 0xffn));
    bytes.push(((count * 2) & 0x7f) | 0x80, (count * 2) >>> 7);
    const part = number.reducer.encode(5);
    bytes.push(part.length, ...part);
  }
  return Uint8Array.from(bytes);
}

/** Nodes with so many of their fields that they are branches of a tree with a sum. */
function branchesWithSums(): GrainId[] {
  return ids.filter((id) => (whole.get(id) as Uint8Array)[1] === 1);
}

describe('a changed value of the forest with a right checksum', () => {
  it('is refused or read by every call, whatever its bytes are', async () => {
    expect(ids.length).toBeGreaterThan(30);
    for (const [at, id] of ids.entries()) {
      for (let times = 0; times < 6 * crashScale; times++) {
        const random = new Random(at * 1000 + times);
        const lie = wounded(whole.get(id) as Uint8Array, random);
        try {
          await askOn(new Map([[id, lie]]));
        } catch (error) {
          throw new Error(`value ${at}, wound ${times}: ${error}`, { cause: error });
        }
      }
    }
  });

  it('is refused if a branch names itself', async () => {
    for (const id of branchesWithSums())
      await askOn(
        new Map([
          [
            id,
            branch(1, [
              [id, 30],
              [id, 30],
            ]),
          ],
        ]),
      );
  });

  it('is refused if a branch and its child name each other', async () => {
    const [one, other] = branchesWithSums() as [GrainId, GrainId];
    const lies = new Map([
      [
        one,
        branch(2, [
          [other, 60],
          [other, 60],
        ]),
      ],
      [
        other,
        branch(1, [
          [one, 30],
          [one, 30],
        ]),
      ],
    ]);
    await askOn(lies);
  });

  it('is refused if its counts are not those of the entries below', async () => {
    for (const id of branchesWithSums()) {
      for (const place of [-1, 1]) {
        const bytes = (whole.get(id) as Uint8Array).slice();
        const lengths = countsOf(bytes);
        for (const at of lengths) bytes[at] = (bytes[at] as number) + place * 8;
        await askOn(new Map([[id, bytes]]));
      }
    }
  });

  it('is refused if it is another node of its tree', async () => {
    for (const [at, id] of ids.entries()) {
      const other = ids[(at * 7 + 3) % ids.length] as GrainId;
      await askOn(new Map([[id, whole.get(other) as Uint8Array]]));
    }
  });

  it('is refused if the catalog has a name that is not a text, or an invalid record', async () => {
    const names = Buffer.from('texts2');
    const isCatalog = (id: GrainId): boolean => Buffer.from(whole.get(id) ?? []).includes(names);
    const [catalog] = ids.filter(isCatalog) as [GrainId];
    const right = whole.get(catalog) as Uint8Array;
    const at = Buffer.from(right).indexOf(names) + names.length;
    await askOn(new Map([[catalog, right.with(at - 1, 0xff)]]));
    for (const byte of [0x7f, 0xff]) await askOn(new Map([[catalog, right.with(at, byte)]]));
  });

  it('is refused if it is missing', async () => {
    for (const id of ids) await askOn(new Map([[id, new Uint8Array(0)]]));
  });

  afterAll(() => {
    const { lies, calls, refused, findings } = counts;
    console.log(`${lies} lies: ${refused} of ${calls} calls refused, ${findings} findings`);
  });
});

/** Where in a branch with sums the first bytes of the counts are. */
function countsOf(bytes: Uint8Array): number[] {
  const children = bytes[4] as number;
  const places: number[] = [];
  let at = 8 + (children - 1) * 4;
  for (let child = 0; child < children; child++) {
    at += 8;
    places.push(at);
    while ((bytes[at] as number) >= 0x80) at += 1;
    at += 1 + (bytes[at + 1] as number) + 1;
  }
  return places;
}
