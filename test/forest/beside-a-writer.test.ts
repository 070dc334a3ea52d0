/**
 * A forest that is opened read-only beside a writer: it sees one batch until it is refreshed, and
 * says `VARVE_SNAPSHOT_GONE` for what the writer has freed since. What it gives is always right.
 */

import { describe, expect, it, vi } from 'vitest';
import { isVarveError } from '../../src/errors.ts';
import { Retention } from '../../src/forest/commits/retention.ts';
import { codecs, Forest, type ForestOptions, type Tree } from '../../src/forest/index.ts';
import { type FileSystem, memoryFileSystem, type StorageFile } from '../../src/index.ts';
import { code, endSound, findingsOf } from '../support/fixtures/forest-checks.ts';
import { Random } from '../support/random.ts';

const numbers = { key: codecs.u32, value: codecs.u32 };
const path = 'f.varve';

/** What the tree holds, or `gone`. Any other error, and any wrong sum, is a failure of the test. */
function sumOf(treeOf: () => { range(): Iterable<[number, number]> }): number | 'gone' {
  try {
    let sum = 0;
    for (const [, value] of treeOf().range()) sum += value;
    return sum;
  } catch (error) {
    if (isVarveError(error, 'VARVE_SNAPSHOT_GONE')) return 'gone';
    throw error;
  }
}

/** Accounts between which money is moved, in one tree: the sum stays as it is. */
class Bank {
  static readonly accounts = 300;
  static readonly sum = Bank.accounts * 100;
  readonly forest: Forest;
  readonly #tree: Tree<number, number, undefined>;
  readonly #random: Random;

  constructor(forest: Forest, seed: number) {
    this.forest = forest;
    this.#tree = forest.tree('accounts', numbers);
    this.#random = new Random(seed);
  }

  async open(): Promise<void> {
    await this.forest.transaction((tx) => {
      for (let at = 0; at < Bank.accounts; at++) tx.tree(this.#tree).put(at, 100);
    });
  }

  move(): void {
    const random = this.#random;
    this.forest.transactionSync((tx) => {
      const accounts = tx.tree(this.#tree);
      for (let times = 1 + random.below(3); times > 0; times--) {
        const [from, to] = [random.below(Bank.accounts), random.below(Bank.accounts)];
        const moved = Math.min(accounts.get(from) as number, random.below(30));
        accounts.put(from, (accounts.get(from) as number) - moved);
        accounts.put(to, (accounts.get(to) as number) + moved);
      }
    });
  }
}

/** A file system through which `beside` runs before each read of a read-only opening. */
function watched(inner: FileSystem, beside: () => void): FileSystem {
  return {
    async open(at, options): Promise<StorageFile> {
      const file = await inner.open(at, options);
      if (!options.readOnly) return file;
      return new Proxy(file, {
        get(target, name) {
          const member = Reflect.get(target, name) as unknown;
          if (typeof member !== 'function') return member;
          return (...given: unknown[]): unknown => {
            if (name === 'readSync' || name === 'read') beside();
            return Reflect.apply(member, target, given);
          };
        },
      });
    },
  };
}

const journals: readonly (number | undefined)[] = [0, undefined];

describe.each(journals)('a forest beside a writer (journalBytes %s)', (journalBytes) => {
  const writing: ForestOptions = { nodeBytes: 512, journalBytes };
  const reading = { readOnly: true, nodeBytes: 512, nodeCacheBytes: 0, cacheBytes: 0 };

  it('sees its batch until it is refreshed, and its snapshots go on seeing theirs', async () => {
    const fileSystem = memoryFileSystem();
    // Nothing is freed, so nothing is gone.
    const settings = { ...writing, checkpoint: 'manual' as const };
    const forest = await Forest.open(path, { fileSystem, ...settings });
    const tree = forest.tree('t', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 500; key++) tx.tree(tree).put(key, 0);
    });
    const reader = await Forest.open(path, { fileSystem, ...reading });
    const read = reader.tree('t', numbers);
    const states: { snapshot: ReturnType<Forest['snapshot']>; value: number }[] = [];
    for (let value = 0; value < 5; value++) {
      const iterator = read.range();
      states.push({ snapshot: reader.snapshot(), value });
      await forest.transaction((tx) => {
        for (let key = 0; key < 500; key += 7) tx.tree(tree).put(key, value + 1);
        tx.drop(`d${value}`);
        tx.tree(forest.tree('made', numbers)).put(value, value);
      });
      expect(read.get(7)).toBe(value);
      expect(reader.names()).toEqual(value === 0 ? ['t'] : ['made', 't']);
      expect(await reader.refresh()).toBe(forest.store.currentBatch);
      expect(read.get(7)).toBe(value + 1);
      expect(await read.getAsync(14)).toBe(value + 1);
      for (const [key, found] of iterator) expect(found).toBe(key % 7 === 0 ? value : 0);
      for (const { snapshot, value: then } of states) {
        expect(snapshot.tree(read).get(490)).toBe(then);
        expect(snapshot.tree(read).count()).toBe(500);
      }
      expect(await findingsOf(reader)).toEqual([]);
    }
    await reader.close();
    await forest.close();
  });

  it('returns the state that it held or VARVE_SNAPSHOT_GONE, whenever the writer commits', async () => {
    const told = { right: 0, gone: 0, refreshed: 0, verified: 0 };
    for (let seed = 1; seed <= 8; seed++) {
      const random = new Random(seed);
      const inner = memoryFileSystem();
      const settings = { settleBytes: 4096 * (1 + random.below(4)), fileSystem: inner };
      const bank = new Bank(await Forest.open(path, { ...writing, ...settings }), seed);
      await bank.open();
      let chance = 0;
      const fileSystem = watched(inner, () => {
        while (random.below(100) < chance) bank.move();
      });
      chance = 4;
      const reader = await Forest.open(path, { ...reading, fileSystem });
      chance = 0;
      await reader.refresh();
      const read = reader.tree('accounts', numbers);
      for (let round = 0; round < 12; round++) {
        chance = random.below(40);
        const sum = sumOf(() => read);
        if (sum === 'gone') told.gone += 1;
        else {
          expect(sum).toBe(Bank.sum);
          told.right += 1;
        }
        const snapshot = reader.snapshot();
        if (random.below(2) === 0) {
          const before = snapshot.batch;
          // Where the writer commits at each other read no state can be read before it is gone.
          chance = Math.min(chance, 4);
          expect(await reader.refresh()).toBeGreaterThanOrEqual(before);
          told.refreshed += 1;
        }
        const held = sumOf(() => snapshot.tree(read));
        if (held !== 'gone') expect(held).toBe(Bank.sum);
        snapshot.release();
        if (round % 6 !== 5) continue;
        const found = await findingsOf(reader).catch((error: unknown) => error);
        if (isVarveError(found)) expect(found).toEqual(code('SNAPSHOT_GONE'));
        else expect(found).toEqual([]);
        told.verified += 1;
      }
      chance = 0;
      await reader.refresh();
      expect(sumOf(() => read)).toBe(Bank.sum);
      expect(await findingsOf(reader)).toEqual([]);
      await reader.close();
      await endSound(bank.forest);
    }
    expect(told.right).toBeGreaterThan(3);
    expect(told.gone).toBeGreaterThan(0);
    expect(told.verified).toBeGreaterThan(5);
  });
});

describe('retainMs', () => {
  it('keeps values committed within that time readable, in commits and at close', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
    try {
      const fileSystem = memoryFileSystem();
      const settings = { fileSystem, nodeBytes: 512, journalBytes: 0, retainMs: 10_000 };
      let forest = await Forest.open(path, settings);
      let tree = forest.tree('t', numbers);
      for (let key = 0; key < 100; key++) {
        await tree.put(key, key);
        vi.setSystemTime(Date.now() + 100);
      }
      expect(forest.store.checkpoint).toBe(0);
      vi.setSystemTime(Date.now() + 5_000);
      for (let key = 0; key < 40; key++) await tree.put(key, 0);
      const { checkpoint } = forest.store;
      // Half of the time's commits are older than that by now, and a time is kept for each 64th.
      expect(checkpoint).toBeGreaterThan(40);
      expect(checkpoint).toBeLessThanOrEqual(51);
      await forest.close();
      // An opening reads the times from the log.
      forest = await Forest.open(path, settings);
      expect(forest.store.checkpoint).toBeLessThanOrEqual(51);
      tree = forest.tree('t', numbers);
      await tree.put(1, 1);
      expect(forest.store.checkpoint).toBeLessThanOrEqual(52);
      vi.setSystemTime(Date.now() + 20_000);
      for (let times = 0; times < 12; times++) await tree.put(1, 2);
      await forest.close();
      const again = await Forest.open(path, { fileSystem, readOnly: true });
      expect(again.store.checkpoint).toBeGreaterThan(138);
      await again.close();
    } finally {
      vi.useRealTimers();
    }
  });

  it('lets a reader read its state for that long', async () => {
    const fileSystem = memoryFileSystem();
    const settings = { fileSystem, nodeBytes: 512, journalBytes: 0, retainMs: 3_600_000 };
    const bank = new Bank(await Forest.open(path, settings), 3);
    await bank.open();
    const reader = await Forest.open(path, { fileSystem, readOnly: true, nodeCacheBytes: 0 });
    for (let times = 0; times < 300; times++) bank.move();
    expect(sumOf(() => reader.tree('accounts', numbers))).toBe(Bank.sum);
    await reader.close();
    await bank.forest.close();
  });

  it('remembers few points in time, and frees no batch younger than its limit', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 0 });
    try {
      const retention = new Retention(1000);
      const random = new Random(5);
      const committed: number[] = [0];
      for (let batch = 1; batch < 20_000; batch++) {
        vi.setSystemTime(Date.now() + random.below(7));
        committed.push(Date.now());
        retention.note(batch, Date.now());
        if (batch % 100 !== 0) continue;
        const limit = retention.limit(batch);
        if (limit > 0)
          expect(Date.now() - (committed[limit] as number)).toBeGreaterThanOrEqual(1000);
        const age = Date.now() - (committed[limit + 1] as number);
        expect(age).toBeLessThan(1000 + 2 * (1000 / 64) + 7);
        expect(retention.timesKept).toBeLessThan(200);
      }
    } finally {
      vi.useRealTimers();
    }
  });
});
