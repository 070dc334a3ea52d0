/**
 * Values of `Transaction.push` that a compaction moves: the program is asked for these alone, and
 * what it says happens or nothing does.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PushedMoves } from '../../../src/forest/compact/pushed-moves.ts';
import { codecs, Forest, type Transaction, type Tree } from '../../../src/forest/index.ts';
import type { GrainId } from '../../../src/index.ts';
import { checkOperation } from '../../../src/util/operations/long-operation.ts';
import { RunningOperation } from '../../../src/util/operations/running-operation.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { code, expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { Random } from '../../support/random.ts';
import { ForestParts } from './parts.ts';

/** The id of each blob by its number. */
type Blobs = Tree<number, bigint, undefined>;

const lengthOf = (number: number): number => 20 + ((number * 37) % 900);

class Blobbed {
  readonly forest: Forest;
  readonly tree: Blobs;
  readonly model = new Map<number, GrainId>();

  constructor(forest: Forest) {
    this.forest = forest;
    this.tree = forest.tree('blobs', { key: codecs.u32, value: codecs.u64 });
  }

  async add(from: number, to: number): Promise<void> {
    await this.forest.transaction((tx) => {
      for (let number = from; number < to; number++) {
        const id = tx.push(patternOf(lengthOf(number), number));
        tx.tree(this.tree).put(number, id);
        this.model.set(number, id);
      }
    });
  }

  async remove(numbers: readonly number[]): Promise<void> {
    await this.forest.transaction((tx) => {
      for (const number of numbers) {
        tx.archive(this.model.get(number) as GrainId);
        tx.tree(this.tree).delete(number);
        this.model.delete(number);
      }
    });
  }

  /** Names `to` instead of `from`; false if no blob has the id. */
  rename(tx: Transaction, from: GrainId, to: GrainId): boolean {
    for (const [number, id] of this.model) {
      if (id !== from) continue;
      expectSameBytes(tx.get(to) as Uint8Array, patternOf(lengthOf(number), number));
      expect(tx.tree(this.tree).get(number)).toBe(from);
      tx.tree(this.tree).put(number, to);
      this.model.set(number, to);
      return true;
    }
    return false;
  }

  look(): void {
    const expected = [...this.model].sort(([one], [other]) => one - other);
    expect([...this.tree.range()]).toEqual(expected);
    for (const [number, id] of this.model) {
      expectSameBytes(this.forest.get(id) as Uint8Array, patternOf(lengthOf(number), number));
    }
  }
}

async function thinned(seed: number, sealed = false): Promise<Blobbed> {
  const vault = aesGcm({ key: new Uint8Array(32).fill(3) });
  const forest = await Forest.inMemory({ nodeBytes: 512, ...(sealed ? { vault } : {}) });
  const blobs = new Blobbed(forest);
  const random = new Random(seed);
  for (let at = 0; at < 12; at++) await blobs.add(at * 300, at * 300 + 300);
  const numbers = [...blobs.model.keys()].filter(() => random.chance(0.9));
  for (let at = 0; at < numbers.length; at += 500) await blobs.remove(numbers.slice(at, at + 500));
  return blobs;
}

describe('a value that a compaction may move', () => {
  it('has another id and the same bytes, and its thin map goes', async () => {
    for (const sealed of [false, true]) {
      const blobs = await thinned(1, sealed);
      const before = new Map(blobs.model);
      const kept = await blobs.forest.compact();
      expect(blobs.model).toEqual(before);
      const moved = await blobs.forest.compact({
        movePushed: (tx, from, to) => blobs.rename(tx, from, to),
      });
      expect(moved.fileBytesAfter).toBeLessThan(kept.fileBytesAfter * 0.8);
      expect([...blobs.model].some(([number, id]) => before.get(number) !== id)).toBe(true);
      blobs.look();
      expect(await findingsOf(blobs.forest)).toEqual([]);
      await expectNoLeak(blobs.forest, blobs.model.size);
      await blobs.forest.close();
    }
  });

  it('is never a node, a long value or a root, whatever runs beside it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000_000), fc.boolean(), async (seed, sealed) => {
        const blobs = await thinned(seed, sealed);
        const { forest } = blobs;
        const random = new Random(seed + 1);
        const others = forest.tree('others', { key: codecs.u32 });
        await forest.transaction((tx) => {
          for (let key = 0; key < 600; key++) tx.tree(others).put(key, patternOf(key * 2, key));
        });
        const session = forest.store.session();
        const own = Array.from({ length: 200 }, (_, at) => session.push(patternOf(300, at)));
        await session.commit();
        const asked = new Set<GrainId>();
        const given = new Set([...blobs.model.values(), ...own]);
        const compacted = forest.compact({
          movePushed: (tx, from, to) => {
            asked.add(from);
            given.add(to);
            return random.chance(0.7) && blobs.rename(tx, from, to);
          },
        });
        let ended = false;
        const end = compacted.finally(() => {
          ended = true;
        });
        for (let step = 0; !ended && step < 200; step++) {
          const key = random.below(600);
          if (random.chance(0.3)) await others.delete(key);
          else if (random.chance(0.2)) {
            await forest.transaction((tx) => {
              tx.drop('fork');
              tx.fork('others', 'fork');
            });
          } else await others.put(key, patternOf(random.below(1400), key));
        }
        await end;
        for (const id of asked) expect(given.has(id)).toBe(true);
        blobs.look();
        for (const [at, id] of own.entries()) {
          expectSameBytes(forest.store.get(id) as Uint8Array, patternOf(300, at));
        }
        expect(await findingsOf(forest)).toEqual([]);
        await expectNoLeak(forest, blobs.model.size + own.length);
        await forest.close();
      }),
      { numRuns: 8 },
    );
  });

  it('is one of the program also while ids are freed and given again in open maps', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const blobs = await thinned(seed);
      const { forest } = blobs;
      const others = forest.tree('others', { key: codecs.u32 });
      const random = new Random(seed);
      let ended = false;
      let strange = 0;
      const end = forest
        .compact({
          movePushed: (tx, from, to) => {
            if (blobs.rename(tx, from, to)) return true;
            strange += 1;
            return false;
          },
        })
        .finally(() => {
          ended = true;
        });
      end.catch(() => undefined);
      for (let step = 0; !ended && step < 100; step++) {
        // It opens the thin maps to new values.
        await forest.store.compact().catch(() => undefined);
        await blobs.remove([...blobs.model.keys()].slice(0, 10));
        await forest.transaction((tx) => {
          for (let count = 0; count < 60; count++) {
            tx.tree(others).put(random.below(5000), patternOf(random.below(200), count));
          }
        });
      }
      // Both compact the store in the end.
      const outcome = await end.catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toEqual(code('BUSY'));
      expect(strange).toBe(0);
      blobs.look();
      await endSoundWith(blobs);
    }
  });

  it('is asked about alone if every value of the store is named', async () => {
    const parts = await ForestParts.open({ nodeBytes: 512 });
    const tree = parts.tree('tree', { key: codecs.u32, versioned: true });
    const pushed = await parts.transaction((tx) => {
      for (let key = 0; key < 200; key++) tx.tree(tree).put(key, patternOf(key * 5, key));
      tx.fork('tree', 'fork');
      return Array.from({ length: 20 }, (_, at) => tx.push(patternOf(50, at)));
    });
    await parts.countValues();
    const asked: GrainId[] = [];
    const { store, state } = parts.core;
    const operation = new RunningOperation(checkOperation({}));
    const moves = new PushedMoves({ store, state }, parts.writer, operation, (_tx, from) => {
      asked.push(from);
      return false;
    });
    const all = new Set(parts.storedIds());
    expect(all.size).toBeGreaterThan(100);
    const guard = store.guard();
    await moves.withoutArchived(all);
    await moves.move(all);
    guard.release();
    expect(asked.sort()).toEqual(pushed.sort());
    await store.close();
  });

  it('stays, and nothing of the transaction happens, if the program says no', async () => {
    const blobs = await thinned(3);
    const before = new Map(blobs.model);
    const { forest } = blobs;
    let calls = 0;
    await forest.compact({
      movePushed: (tx) => {
        calls += 1;
        tx.tree(blobs.tree).put(99_999, 1n);
        return false;
      },
    });
    expect(calls).toBeGreaterThan(50);
    expect(blobs.model).toEqual(before);
    blobs.look();
    await expectNoLeak(forest, blobs.model.size);
    await endSoundWith(blobs);
  });

  it('may have been archived meanwhile, by the program or in its answer', async () => {
    const blobs = await thinned(4);
    const gone = new Set<number>();
    const archived = new Set<GrainId>();
    await blobs.forest.compact({
      movePushed: (tx, from, to) => {
        expect(archived.has(from)).toBe(false);
        if (gone.size < 20) {
          // Another one goes before it is asked for.
          const later = [...blobs.model].filter(([, id]) => id > from);
          const [number, id] = later.reduce((one, other) => (one[1] < other[1] ? one : other));
          if (blobs.rename(tx, from, to)) {
            tx.archive(id);
            tx.tree(blobs.tree).delete(number);
            blobs.model.delete(number);
            gone.add(number);
            archived.add(id);
            return true;
          }
        }
        return blobs.rename(tx, from, to);
      },
    });
    expect(gone.size).toBe(20);
    blobs.look();
    await expectNoLeak(blobs.forest, blobs.model.size);
    await endSoundWith(blobs);
  });

  it('is moved before the compaction that is stopped ends, or not at all', async () => {
    const blobs = await thinned(6);
    const controller = new AbortController();
    const reason = new Error('stopped');
    let calls = 0;
    const stopped = blobs.forest.compact({
      signal: controller.signal,
      movePushed: (tx, from, to) => {
        calls += 1;
        if (calls === 3) controller.abort(reason);
        return blobs.rename(tx, from, to);
      },
    });
    await expect(stopped).rejects.toBe(reason);
    const callsBefore = calls;
    blobs.look();
    await blobs.forest.transaction(() => undefined);
    expect(calls).toBe(callsBefore);
    await endSoundWith(blobs);
  });

  it('ends the compaction if the program throws or answers neither yes nor no', async () => {
    const blobs = await thinned(5);
    const error = new Error('not today');
    let calls = 0;
    const thrown = blobs.forest.compact({
      movePushed: () => {
        calls += 1;
        throw error;
      },
    });
    await expect(thrown).rejects.toBe(error);
    // Those that were on their way are not asked for.
    expect(calls).toBe(1);
    const movePushed = (async () => true) as never;
    await expect(blobs.forest.compact({ movePushed })).rejects.toEqual(code('INVALID_ARGUMENT'));
    blobs.look();
    await blobs.forest.compact();
    await endSoundWith(blobs);
  });
});

async function endSoundWith({ forest, model }: Blobbed): Promise<void> {
  expect(await findingsOf(forest)).toEqual([]);
  await expectNoLeak(forest, model.size);
  await forest.close();
}
