/**
 * A walk of a compaction against a plain model: whatever is thin, and wherever it pauses, the trees
 * have the same entries, histories and reducer values; forks go on sharing; nothing is left that
 * nothing reaches.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TreeRewriter } from '../../../src/forest/compact/tree-rewriter.ts';
import { codecs, reducers, type Tree } from '../../../src/forest/index.ts';
import type { GrainId } from '../../../src/index.ts';
import { Random } from '../../support/random.ts';
import { ForestParts } from './parts.ts';

type Plan = ConstructorParameters<typeof TreeRewriter>[1];
type AnyTree = Tree<number, Uint8Array, unknown>;

const keysMax = 300;
/** Forks beside a walk may be before it: it would not end if they went on. */
const writesMax = 20;
/** A long value is stored by itself. */
const longBytes = 600;

interface Case {
  readonly seed: number;
  readonly versioned: boolean;
  readonly summed: boolean;
  readonly forks: number;
  readonly thinShare: number;
  readonly packs: boolean;
  readonly dueShare: number;
  /** Others write and fork between the steps. */
  readonly writes: boolean;
}

class Life {
  readonly #random: Random;
  readonly #case: Case;
  readonly #parts: ForestParts;
  readonly model = new Map<string, Map<number, number>>();
  readonly #trees = new Map<string, AnyTree>();
  /** As they were when the walk began. */
  readonly #names = ['m'];

  constructor(parts: ForestParts, asked: Case) {
    this.#parts = parts;
    this.#case = asked;
    this.#random = new Random(asked.seed);
  }

  tree(name: string): AnyTree {
    const known = this.#trees.get(name);
    if (known !== undefined) return known;
    const { versioned, summed } = this.#case;
    const sum = reducers.sum((_key: number, value: Uint8Array) => value.length);
    const options = { key: codecs.u32, versioned, ...(summed ? { reducer: sum } : {}) };
    const tree = this.#parts.tree(name, options) as unknown as AnyTree;
    this.#trees.set(name, tree);
    return tree;
  }

  entries(name: string): Map<number, number> {
    const entries = this.model.get(name) ?? new Map();
    this.model.set(name, entries);
    return entries;
  }

  async change(name: string, count: number, deletes: number): Promise<void> {
    const random = this.#random;
    const entries = this.entries(name);
    await this.#parts.transaction((tx) => {
      const tree = tx.tree(this.tree(name));
      for (let left = count; left > 0; left--) {
        const key = random.below(keysMax);
        if (random.chance(deletes)) {
          expect(tree.delete(key)).toBe(entries.delete(key));
          continue;
        }
        const length = random.chance(0.1) ? longBytes + random.below(300) : random.below(40);
        tree.put(key, new Uint8Array(length).fill(key));
        entries.set(key, length);
      }
    });
  }

  async fork(from: string): Promise<void> {
    const to = `${this.#random.chance(0.5) ? 'a' : 'z'}${this.#names.length}`;
    this.#names.push(to);
    this.model.set(to, new Map(this.entries(from)));
    await this.#parts.transaction((tx) => tx.fork(from, to));
  }

  async some(): Promise<void> {
    const random = this.#random;
    const name = this.#names[random.below(this.#names.length)] as string;
    if (random.chance(0.2)) await this.fork(name);
    else await this.change(name, 1 + random.below(10), 0.4);
  }

  async fill(): Promise<void> {
    for (let left = 6; left > 0; left--) await this.change('m', 120, 0.2);
    await this.change('m', 300, 0.9);
    for (let left = this.#case.forks; left > 0; left--) {
      const from = this.#names[this.#random.below(this.#names.length)] as string;
      await this.fork(from);
      if (this.#random.chance(0.6)) await this.change(from, 1 + this.#random.below(6), 0.3);
    }
  }

  plan(thin: ReadonlySet<GrainId>): Plan {
    const { packs, dueShare } = this.#case;
    const random = new Random(this.#case.seed + 1);
    return {
      packs,
      packsShared: packs,
      isThin: (id) => thin.has(id),
      isDue: () => random.chance(dueShare),
      rewrote: (bytes) => expect(bytes).toBeGreaterThanOrEqual(0),
    };
  }

  /** Values by which something of the walk can be seen: a part of all that the store has. */
  thin(): Set<GrainId> {
    const random = new Random(this.#case.seed + 2);
    const share = this.#case.packs ? 0 : this.#case.thinShare;
    return new Set(this.#parts.storedIds().filter(() => random.chance(share)));
  }

  look(): void {
    for (const [name, entries] of this.model) {
      const found = Array.from(this.tree(name).range(), ([key, value]) => {
        return value.every((byte) => byte === (key & 255)) ? `${key}:${value.length}` : 'wrong';
      });
      const expected = [...entries].sort(([one], [other]) => one - other);
      expect(found.join()).toBe(expected.map((entry) => entry.join(':')).join());
      if (!this.#case.summed) continue;
      const sum = [...entries.values()].reduce((one, other) => one + other, 0);
      expect(this.tree(name).reduce()).toBe(sum);
    }
  }

  histories(): unknown[] {
    if (!this.#case.versioned) return [];
    return this.#names.map((name) =>
      [...this.tree(name).changes()].map(({ value, ...one }) => {
        return { ...one, length: value?.length };
      }),
    );
  }
}

const cases: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(1_000_000),
  versioned: fc.boolean(),
  summed: fc.boolean(),
  forks: fc.nat(4),
  thinShare: fc.constantFrom(0, 0.02, 0.3, 1),
  packs: fc.boolean(),
  dueShare: fc.constantFrom(0, 0.05, 0.5, 1),
  writes: fc.boolean(),
});

async function run(asked: Case): Promise<{ before: number; after: number; moved: boolean }> {
  const parts = await ForestParts.open({ nodeBytes: 512, journalBytes: 3000 });
  const life = new Life(parts, asked);
  await life.fill();
  const before = await parts.countValues();
  const histories = life.histories();
  const snapshot = parts.snapshot();
  const held = [...snapshot.tree(life.tree('m')).range()];
  const thin = life.thin();
  const random = new Random(asked.seed + 3);
  let writes = asked.writes ? writesMax : 0;
  await parts.walk(life.plan(thin), async () => {
    if (writes-- > 0) await life.some();
    if (random.chance(0.1)) life.look();
  });
  life.look();
  expect([...snapshot.tree(life.tree('m')).range()]).toEqual(held);
  if (!asked.writes) expect(life.histories()).toEqual(histories);
  snapshot.release();
  expect(await parts.findings()).toEqual([]);
  const after = await parts.countValues();
  const kept = new Set(parts.storedIds());
  await parts.core.store.close();
  return { before, after, moved: ![...thin].some((id) => kept.has(id)) };
}

describe('a walk of a compaction', () => {
  it('changes nothing that is seen, beside writers and forks, with any pauses', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (asked) => {
        await run({ ...asked, writes: true });
      }),
      { numRuns: 30 },
    );
  });

  it('pauses between the long values of one leaf', async () => {
    const parts = await ForestParts.open({ nodeBytes: 4064 });
    const tree = parts.tree('t', { key: codecs.u32 });
    const value = (key: number): Uint8Array => new Uint8Array(5000).fill(key);
    await parts.transaction((tx) => {
      for (let key = 0; key < 60; key++) tx.tree(tree).put(key, value(key));
    });
    await parts.countValues();
    const thin = new Set(parts.storedIds());
    let bytes = 0;
    let most = 0;
    const plan: Plan = {
      packs: false,
      packsShared: false,
      isThin: (id) => thin.has(id),
      isDue: () => bytes > 0,
      rewrote: (length) => {
        bytes += length;
      },
    };
    // No id is given again meanwhile.
    const held = parts.snapshot();
    let others = 0;
    await parts.walk(plan, async () => {
      most = Math.max(most, bytes);
      bytes = 0;
      // Others change the leaf before and after the place where the walk goes on.
      const key = [0, 59, 30][others++ % 3] as number;
      await parts.transaction((tx) => tx.tree(tree).put(key, value(key)));
    });
    held.release();
    expect(most).toBeLessThan(2 * 5000 + 4064);
    const expected = Array.from({ length: 60 }, (_, key) => [key, value(key)]);
    expect([...tree.range()]).toEqual(expected);
    await parts.countValues();
    expect(parts.storedIds().filter((id) => thin.has(id))).toEqual([]);
    expect(await parts.findings()).toEqual([]);
    await parts.core.store.close();
  });

  it('moves nodes of the shares and of the catalog that alone are thin', async () => {
    const parts = await ForestParts.open({ nodeBytes: 512 });
    const asked = { seed: 3, forks: 0, versioned: false, summed: false, writes: false };
    const life = new Life(parts, { ...asked, packs: false, thinShare: 0, dueShare: 1 });
    await life.fill();
    for (let left = 16; left > 0; left--) {
      await life.fork('m');
      await life.change('m', 5, 0);
    }
    await parts.countValues();
    const own = parts.ownNodes();
    expect(own.length).toBeGreaterThan(4);
    await parts.walk(life.plan(new Set(own)), async () => undefined);
    life.look();
    await parts.countValues();
    const kept = new Set(parts.storedIds());
    expect(own.filter((id) => kept.has(id))).toEqual([]);
    expect(await parts.findings()).toEqual([]);
    await parts.core.store.close();
  });

  it('moves all that is thin, and stores no more nodes than there were: forks share them', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (asked) => {
        const { before, after, moved } = await run({ ...asked, writes: false });
        expect(moved).toBe(true);
        expect(after).toBeLessThanOrEqual(before);
      }),
      { numRuns: 40 },
    );
  });
});
