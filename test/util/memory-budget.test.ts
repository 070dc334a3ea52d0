/**
 * A budget that several caches share: what they hold together, and which of them gives way.
 *
 * The caches are lists of entries; what the budget may do to them is checked entry by entry.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MemoryBudget,
  type MemoryKind,
  type MemoryShare,
  type MemoryUser,
} from '../../src/util/memory-budget.ts';

const kibibyte = 1024;

interface Entry {
  readonly bytes: number;
  used: boolean;
  /** It is needed: it stays. */
  readonly stays: boolean;
}

/** A cache that is a list; the hand is at its start. */
class Entries implements MemoryUser {
  readonly share: MemoryShare;
  entries: Entry[] = [];
  reservedBytes = 0;
  /** Entries that the hand has passed. */
  passed = 0;
  evicted: Entry[] = [];

  constructor(budget: MemoryBudget, kind: MemoryKind) {
    this.share = budget.join(kind, this);
  }

  get entryCount(): number {
    return this.entries.length;
  }

  get bytes(): number {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  add(count: number, bytes: number, stays = false): void {
    for (let at = 0; at < count; at++) this.entries.push({ bytes, used: false, stays });
    this.hold();
  }

  hold(): void {
    this.share.hold(this.bytes, { reservedBytes: this.reservedBytes });
  }

  useAll(): void {
    for (const entry of this.entries) entry.used = true;
  }

  pass(count: number): void {
    expect(Number.isInteger(count) && count > 0 && count <= this.entries.length).toBe(true);
    for (let left = count; left > 0; left--) {
      const entry = this.entries.shift() as Entry;
      this.passed += 1;
      if (entry.used || entry.stays) this.entries.push({ ...entry, used: false });
      else this.evicted.push(entry);
    }
    this.hold();
  }
}

const kinds = ['blocks', 'marks', 'nodes'] as const;

function bedOf(bytesMax: number) {
  const budget = new MemoryBudget(bytesMax);
  const [blocks, marks, nodes] = kinds.map((kind) => new Entries(budget, kind)) as [
    Entries,
    Entries,
    Entries,
  ];
  return { budget, blocks, marks, nodes, all: [blocks, marks, nodes] as const };
}

/** What can be evicted may take this: the rest of the budget, and at least a quarter of it. */
function mostOf({ bytesMax }: MemoryBudget, all: readonly Entries[]): number {
  const reserved = all.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0);
  return Math.max(bytesMax - reserved, bytesMax / 4);
}

const user = fc.nat(2);
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      user,
      count: fc.integer({ min: 1, max: 20 }),
      bytes: fc.integer({ min: 1, max: 9 * kibibyte }),
      stays: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      user,
      bytes: fc.nat(300 * kibibyte),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('use' as const), user, every: fc.nat(5) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('room' as const), bytes: fc.nat(50 * kibibyte) }),
  },
);

describe('a memory budget', () => {
  it('has room after any changes, evicts nothing that was used, and no more than it must', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400 * kibibyte }),
        fc.array(command, { maxLength: 60 }),
        (bytesMax, commands) => {
          const { budget, all } = bedOf(bytesMax);
          for (const one of commands) {
            if (one.kind === 'add') {
              // Few stay: they are within the quarter that is left in any case.
              const stays = one.stays && one.bytes < bytesMax / 1000;
              all[one.user]?.add(one.count, one.bytes, stays && one.count === 1);
            } else if (one.kind === 'use') {
              for (const [at, entry] of all[one.user]?.entries.entries() ?? []) {
                if (at % (one.every + 1) === 0) entry.used = true;
              }
            } else if (one.kind === 'reserve') {
              const changed = all[one.user] as Entries;
              changed.reservedBytes = one.bytes;
              changed.hold();
            }
            const bytes = one.kind === 'room' ? one.bytes : 0;
            const before = all.reduce((sum, cache) => sum + cache.bytes, 0);
            const most = mostOf(budget, all);
            const hadRoom = before + bytes <= most;
            expect(budget.hasRoom(bytes)).toBe(hadRoom);
            for (const cache of all) cache.evicted = [];
            const hasRoom = budget.makeRoom(bytes);
            const after = all.reduce((sum, cache) => sum + cache.bytes, 0);
            const evicted = all.flatMap((cache) => cache.evicted);
            if (hadRoom) expect(evicted).toEqual([]);
            expect(hasRoom).toBe(after + bytes <= most);
            const left = all.flatMap(({ entries }) => entries);
            if (!hasRoom) expect(left.filter(({ stays }) => !stays)).toEqual([]);
            // A step is 16 KiB, or an eighth of a round: it may free more than is needed.
            const slack = Math.max(before / 8, 16 * kibibyte) + 3 * 9 * kibibyte;
            if (evicted.length > 0) expect(after + bytes).toBeGreaterThan(most - slack);
            expect(budget.bytes()).toBe(
              after + all.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('turns all hands by the same part of a round', () => {
    fc.assert(
      fc.property(
        fc.tuple(...kinds.map(() => fc.integer({ min: 1, max: 3000 }))),
        fc.integer({ min: 1, max: 200 }),
        (counts, steps) => {
          const { budget, all } = bedOf(100 * kibibyte * kibibyte);
          for (const [at, cache] of all.entries()) cache.add(counts[at] as number, kibibyte, true);
          let asked = 0;
          budget.makeRoom(200 * kibibyte * kibibyte, () => {
            asked += 1;
            return asked === steps;
          });
          const rounds = all.map((cache) => cache.passed / cache.entryCount);
          for (const [at, round] of rounds.entries()) {
            const other = rounds[(at + 1) % 3] as number;
            const entry = 1 / Math.min(...counts);
            expect(Math.abs(round - other)).toBeLessThanOrEqual(entry + 1e-9);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('lets give way what is not used, whatever needs room', () => {
    for (const idle of ['blocks', 'nodes'] as const) {
      const { budget, blocks, nodes } = bedOf(8000 * kibibyte);
      for (const cache of [blocks, nodes]) cache.add(4000, kibibyte);
      const [busy, other] = idle === 'nodes' ? [blocks, nodes] : [nodes, blocks];
      for (let round = 0; round < 40; round++) {
        busy.useAll();
        busy.add(100, kibibyte);
        budget.makeRoom();
      }
      expect(other.entryCount).toBeLessThan(300);
      expect(busy.entryCount).toBeGreaterThan(7500);
    }
  });

  it('keeps what two busy caches use, and lets neither starve the other', () => {
    const { budget, blocks, nodes } = bedOf(8000 * kibibyte);
    blocks.add(2000, kibibyte);
    nodes.add(3000, kibibyte);
    for (let round = 0; round < 100; round++) {
      // Each uses what it has, and one of them also takes in what is used only once.
      blocks.useAll();
      nodes.useAll();
      nodes.add(100, kibibyte);
      budget.makeRoom();
    }
    expect(budget.bytes()).toBeLessThanOrEqual(8000 * kibibyte);
    expect(blocks.entryCount).toBeGreaterThan(1900);
    expect(nodes.entryCount).toBeGreaterThan(2900);
  });

  it('counts reserved memory, and leaves a quarter to what can be evicted', () => {
    const { budget, blocks, nodes } = bedOf(1000 * kibibyte);
    blocks.add(1000, kibibyte);
    nodes.reservedBytes = 400 * kibibyte;
    nodes.hold();
    expect(budget.makeRoom()).toBe(true);
    expect(blocks.entryCount).toBeGreaterThan(580);
    expect(blocks.entryCount).toBeLessThanOrEqual(600);
    nodes.reservedBytes = 5000 * kibibyte;
    nodes.hold();
    expect(budget.makeRoom()).toBe(true);
    const blockBytes = blocks.bytes;
    expect(blockBytes).toBeGreaterThan(230 * kibibyte);
    expect(blockBytes).toBeLessThanOrEqual(250 * kibibyte);
    expect(budget.statistics()).toEqual({
      budgetBytes: 1000 * kibibyte,
      usedBytes: 5000 * kibibyte + blockBytes,
      blockBytes,
      markBytes: 0,
      nodeBytes: 5000 * kibibyte,
      reservedBytes: 5000 * kibibyte,
    });
  });
});
