/**
 * Which records of trees are in memory: right for every version that is held, and bounded.
 *
 * The model keeps all records and the whole catalog of every version.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../../src/forest/index.ts';
import { emptyRoot } from '../../../src/forest/nodes/node.ts';
import { catalogConfig, type TreeRecord } from '../../../src/forest/trees/tree-record.ts';
import { TreeRecords } from '../../../src/forest/trees/tree-records.ts';

type Records = ReadonlyMap<string, TreeRecord | undefined>;

interface Version {
  readonly number: number;
  readonly records: Records;
  /** The catalog may have an older record of a tree. */
  readonly catalog: Records;
}

let sequence = 0;
function newRecord(): TreeRecord {
  sequence += 1;
  return { config: catalogConfig, main: emptyRoot, history: emptyRoot, sequence };
}

/** As a version of the forest asks: what is not in memory is in its catalog. */
function found(records: TreeRecords, name: string, { number, catalog }: Version) {
  const known = records.find(name, number);
  if (known !== undefined) return known.record;
  const read = catalog.get(name);
  if (read !== undefined) records.read(name, number, read);
  return read;
}

const names = ['a', 'b', 'c', 'd'];
const step = fc.oneof(
  fc.record({
    kind: fc.constant('change' as const),
    names: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 }),
    drop: fc.boolean(),
    lacking: fc.option(fc.subarray(names), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('hold' as const) }),
  fc.record({ kind: fc.constant('release' as const), at: fc.nat() }),
);

describe('the records in memory', () => {
  it('are the records of each version that is held', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const records = new TreeRecords(new Map(), 2);
        let now: Version = { number: 0, records: new Map(), catalog: new Map() };
        const held: Version[] = [];
        for (const one of steps) {
          if (one.kind === 'hold') {
            records.hold(now.number);
            held.push(now);
          } else if (one.kind === 'release') {
            const [version] = held.splice(one.at % Math.max(1, held.length), 1);
            if (version !== undefined) records.release(version.number);
          } else {
            const changed = new Map(
              one.names.map((name) => [name, one.drop ? undefined : newRecord()]),
            );
            const all = new Map([...now.records, ...changed]);
            const lacking = one.lacking === undefined ? undefined : new Set(one.lacking);
            const catalog = lacking === undefined ? now.catalog : new Map(all);
            for (const name of lacking ?? []) {
              (catalog as Map<string, TreeRecord | undefined>).set(name, now.catalog.get(name));
            }
            now = { number: now.number + 1, records: all, catalog };
            records.change(now.number, changed, lacking);
          }
          for (const version of [now, ...held]) {
            for (const name of names) {
              expect(found(records, name, version)).toBe(version.records.get(name));
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('are a bounded number, except those that no catalog has', () => {
    const records = new TreeRecords(new Map());
    for (let i = 0; i < 50_000; i++) records.read(`t${i}`, 0, newRecord());
    expect(records.size).toBeLessThanOrEqual(10_000);
    const changed = new Map(Array.from({ length: 30_000 }, (_, i) => [`u${i}`, newRecord()]));
    records.change(1, changed, undefined);
    for (const [name, record] of changed) expect(records.find(name, 1)?.record).toBe(record);
    records.change(2, new Map([['last', newRecord()]]), new Set());
    for (let i = 0; i < 20_000; i++) records.read(`v${i}`, 2, newRecord());
    expect(records.size).toBeLessThanOrEqual(10_000);
  });

  it('stay, beyond the bound, while a version is held whose catalog lacks them', () => {
    const records = new TreeRecords(new Map());
    const changed = new Map([['t', newRecord()]]);
    records.change(1, changed, undefined);
    records.hold(1);
    records.change(2, new Map([['u', newRecord()]]), new Set());
    for (let i = 0; i < 30_000; i++) records.read(`v${i}`, 2, newRecord());
    expect(records.find('t', 1)?.record).toBe(changed.get('t'));
    records.release(1);
    for (let i = 0; i < 30_000; i++) records.read(`w${i}`, 2, newRecord());
    expect(records.size).toBeLessThanOrEqual(10_000);
  });

  it('include none of a tree that does not exist', async () => {
    const forest = await Forest.inMemory();
    const options = { key: codecs.u32, value: codecs.u32 };
    const tree = forest.tree('t', options);
    await tree.put(1, 1);
    for (let i = 0; i < 1000; i++) expect(forest.tree(`user ${i}`, options).get(1)).toBe(undefined);
    const snapshot = forest.snapshot();
    await tree.put(2, 2);
    expect(snapshot.tree(tree).count()).toBe(1);
    expect(forest.statistics().treesInMemory).toBe(1);
    snapshot.release();
    await forest.close();
  });
});
