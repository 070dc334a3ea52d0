/**
 * The cache of nodes against a plain model: what it has is what was added and neither dropped nor
 * evicted, within its own bound and the budget.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Leaf, NodeRef } from '../../../src/forest/nodes/node.ts';
import { NodeCache } from '../../../src/forest/nodes/node-cache.ts';
import { NodeMemory } from '../../../src/forest/nodes/node-memory.ts';
import { SortedEntries } from '../../../src/forest/nodes/sorted-entries.ts';
import { MemoryBudget } from '../../../src/util/memory-budget.ts';

const kibibyte = 1024;
const key = new Uint8Array([1]);

/** A reference to a stored leaf of about so many kibibytes. */
function storedRef(id: number, kibibytes: number): NodeRef {
  const entries = new SortedEntries(new NodeMemory(0));
  entries.insert(0, key, new Uint8Array(kibibytes * kibibyte), kibibytes * kibibyte * 2);
  const ref = new NodeRef(new Leaf(1, entries));
  ref.low = id;
  return ref;
}

const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      kibibytes: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('use' as const, 'drop' as const, 'again' as const),
      which: fc.nat(200),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      bytes: fc.nat(400 * kibibyte),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('blocks' as const),
      bytes: fc.nat(400 * kibibyte),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), count: fc.nat(100) }) },
);

describe('a cache of nodes', () => {
  it('has what was added and neither dropped nor evicted, within its bound and the budget', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 500 * kibibyte }),
        fc.integer({ min: 0, max: 500 * kibibyte }),
        fc.array(command, { maxLength: 150 }),
        (budgetBytes, bytesMax, commands) => {
          const budget = new MemoryBudget(budgetBytes);
          const cache = new NodeCache(budget, Math.min(bytesMax, budgetBytes));
          const blocks = budget.join('blocks', { entryCount: 0, pass: () => undefined });
          const refs: NodeRef[] = [];
          let newest: NodeRef | undefined;
          let reserved = 0;
          let ofBlocks = 0;
          for (const [at, one] of commands.entries()) {
            if (one.kind === 'add') {
              newest = storedRef(at + 1, one.kibibytes);
              refs.push(newest);
              cache.add(newest);
            } else if (one.kind === 'reserve') {
              reserved = one.bytes;
              cache.reserve(reserved);
            } else if (one.kind === 'blocks') {
              ofBlocks = one.bytes;
              blocks.hold(0, { reservedBytes: ofBlocks });
              budget.makeRoom();
            } else if (one.kind === 'pass') cache.pass(one.count);
            else {
              const ref = refs[one.which % Math.max(1, refs.length)];
              if (ref === undefined) continue;
              if (one.kind === 'drop') cache.drop(ref);
              else if (one.kind === 'use' && ref.node !== undefined) ref.node.used = true;
              else if (one.kind === 'again' && ref.node === undefined) {
                ref.node = storedRef(1, 2).node;
                cache.add(ref);
                newest = ref;
              }
            }
            let bytes = 0;
            for (const ref of refs) {
              expect(ref.cachedBytes).toBe(ref.node?.memoryBytes ?? 0);
              bytes += ref.cachedBytes;
            }
            expect(cache.bytes).toBe(bytes);
            expect(budget.bytes('nodes')).toBe(bytes + reserved);
            if (one.kind === 'add') expect(newest?.node).toBeDefined();
            // The newest one stays in any case.
            const others = bytes - (newest?.cachedBytes ?? 0);
            const own = Math.min(bytesMax, budgetBytes);
            const rest = Math.max(budgetBytes - reserved - ofBlocks, budgetBytes / 4);
            const most = Math.min(Math.max(own - reserved, own / 4), rest);
            expect(others).toBeLessThanOrEqual(most);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('evicts nodes that were not used since they were last passed, and no others', () => {
    const budget = new MemoryBudget(100 * kibibyte * kibibyte);
    const cache = new NodeCache(budget);
    const refs = Array.from({ length: 200 }, (_, at) => storedRef(at + 1, 2));
    for (const ref of refs) cache.add(ref);
    // New nodes count as used.
    cache.pass(200);
    expect(refs.every(({ node }) => node !== undefined)).toBe(true);
    for (let at = 0; at < 200; at += 3) (refs[at]?.node as Leaf).used = true;
    cache.pass(200);
    const kept = refs.flatMap(({ node }, at) => (node === undefined ? [] : [at]));
    const used = refs.flatMap((_, at) => (at % 3 === 0 || at === 199 ? [at] : []));
    expect(used.every((at) => kept.includes(at))).toBe(true);
    expect(kept.length).toBeLessThan(used.length + 5);
  });
});
