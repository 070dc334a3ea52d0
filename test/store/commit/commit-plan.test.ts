/**
 * Plans of batches: the record says everything in order and nothing changes by planning; replayed
 * over nothing, record after record, it makes the same Atlas again.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLogRecord, type LogRecord } from '../../../src/format/log-record.ts';
import {
  type BatchPlan,
  type BatchRequest,
  planBatch,
} from '../../../src/store/commit/commit-plan.ts';
import { SessionWork, type StagedValue } from '../../../src/store/commit/session-work.ts';
import { Space } from '../../../src/store/file/space.ts';
import { Atlas, defaultLimits } from '../../../src/store/grains/atlas.ts';
import { applyRecord, type ReplayParts } from '../../../src/store/open/replay.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';

const limits = { ...defaultLimits, grainsPerStratum: 256, strataPerBasin: 2 };

function emptyAtlas(): Atlas {
  const space = new Space();
  space.rebuild([{ page: 0, pages: 40 }], 0);
  return new Atlas(new PagedMemory(), space, limits);
}

function push(atlas: Atlas, work: SessionWork, length: number): StagedValue {
  return work.stage(atlas.reserve(length, work.preferred), new Uint8Array(length).fill(length));
}

function plan(atlas: Atlas, works: SessionWork[], part: Partial<BatchRequest> = {}): BatchPlan {
  const before = { currentBatch: 4, checkpoint: 1, embeddedHeader: 7n };
  const kept = { checkpoint: 1, retainedLogBytes: 99, dropped: [] };
  const request = { before, works, freed: new Map(), ...kept, now: 12.7 };
  const steps = planBatch(atlas, { ...request, ...part });
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

function recordOf({ body }: BatchPlan): LogRecord {
  return decodeLogRecord(body, undefined);
}

/** As publishing does, without the rest of a store. */
function publish({ added, works, dropped }: BatchPlan, atlas: Atlas): void {
  for (const { basin } of added.basins) basin.becomeDurable();
  for (const stratum of added.strata) stratum.becomeDurable();
  for (const { map } of added.maps) map.becomeDurable();
  for (const work of works) {
    for (const value of work.operations) {
      value.home.publish(value.operation, value);
    }
  }
  for (const { stratum, map } of dropped) atlas.dropMap(stratum, map.firstIndex);
}

function told(atlas: Atlas): unknown {
  return atlas.basins
    .filter(({ durable }) => durable)
    .map(({ strata }) =>
      strata
        .filter(({ durable }) => durable)
        .map((stratum) => {
          const { maps, ...counts } = stratum.entry();
          return { ...counts, maps: maps.map(({ longestFree: _, ...map }) => map) };
        }),
    );
}

const batch = fc.array(
  fc.array(fc.oneof(fc.record({ push: fc.nat(9000) }), fc.record({ archive: fc.nat() })), {
    maxLength: 10,
  }),
  { minLength: 1, maxLength: 4 },
);

describe('a plan', () => {
  it('has a record from which the same Atlas is made again', () => {
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 8 }), (batches) => {
        const atlas = emptyAtlas();
        const records: LogRecord[] = [];
        const values: StagedValue[] = [];
        for (const [at, sessions] of batches.entries()) {
          const works = sessions.map((wishes) => {
            const work = new SessionWork();
            for (const wish of wishes) {
              if ('push' in wish) push(atlas, work, wish.push);
              else {
                const [old] = values.splice(wish.archive % Math.max(1, values.length), 1);
                if (old !== undefined) work.claim(old.home, old.index, old.count, old.length);
              }
            }
            return work;
          });
          // One session gives up: what it alone relied on is not in the record.
          if (at % 3 === 2) works.pop()?.giveUp();
          const before = {
            currentBatch: at,
            checkpoint: 0,
            embeddedHeader: 0n,
            retainedLogBytes: 0,
          };
          const planned = plan(atlas, works, { before, checkpoint: 0 });
          publish(planned, atlas);
          records.push(recordOf(planned));
          for (const work of works) {
            for (const one of work.operations) if (one.operation === 'allocate') values.push(one);
          }
        }
        const again = emptyAtlas();
        const parts = { atlas: again, rootStamp: 0 } as unknown as ReplayParts;
        for (const record of records) Array.from(applyRecord(parts, record));
        expect(told(again)).toEqual(told(atlas));
        for (const { home, index, count } of values) {
          const id = { basin: home.basin, stratum: home.number, index };
          expect(again.find(id)?.count).toBe(count);
          expect(again.find(id)?.map.grainOffset(index)).toBe(home.offsetOf(index));
        }
        // Of what a stamp covers nothing is applied twice.
        for (const basin of again.basins)
          basin.sealedAs({ ...basin.name, generation: 1 }, batches.length);
        for (const stratum of again.strata()) {
          for (const map of stratum.maps) {
            for (const page of stratum.pagesOf(map)) page.caughtUp(batches.length);
          }
        }
        const settled = { ...parts, rootStamp: batches.length };
        for (const record of records) Array.from(applyRecord(settled, record));
        expect(told(again)).toEqual(told(atlas));
      }),
      { numRuns: 80 },
    );
  });

  it('says structures first, then each session in the order in which it queued', () => {
    const atlas = emptyAtlas();
    const [one, other] = [new SessionWork(), new SessionWork()];
    push(atlas, other, 10);
    push(atlas, one, 9000);
    push(atlas, other, 20);
    const planned = plan(atlas, [one, other]);
    const kinds = recordOf(planned).operations.map((operation) =>
      'length' in operation ? operation.length : operation.operation,
    );
    expect(kinds).toEqual([
      'add-basin',
      'add-stratum',
      'add-stratum',
      'add-map',
      'add-map',
      9000,
      10,
      20,
    ]);
  });

  it('adds a structure after everything before it, and only if its values need it', () => {
    const atlas = emptyAtlas();
    const gone = new SessionWork();
    for (let at = 0; at < 300; at++) push(atlas, gone, 20);
    const work = new SessionWork();
    const value = push(atlas, work, 20);
    expect([value.basin, value.stratum]).toEqual([0, 1]);
    gone.giveUp();
    const { added } = plan(atlas, [work]);
    expect(added.strata.map(({ number }) => number)).toEqual([0, 1]);
    expect(added.maps.map(({ stratum }) => stratum.number)).toEqual([1]);
    expect(atlas.basins[0]?.durable).toBe(false);
    expect(atlas.basins[0]?.strata.map(({ durable }) => durable)).toEqual([false, false]);
  });

  it('needs no structure if it only archives', () => {
    const atlas = emptyAtlas();
    const work = new SessionWork();
    const value = push(atlas, work, 20);
    publish(plan(atlas, [work]), atlas);
    const archiving = new SessionWork();
    archiving.claim(value.home, value.index, value.count, value.length);
    const planned = plan(atlas, [archiving]);
    expect(planned.added).toEqual({ basins: [], strata: [], maps: [] });
    const { basin, stratum, index, count, length } = value;
    const run = { basin, stratum, index, count, length };
    expect(recordOf(planned).operations).toEqual([{ operation: 'archive', ...run }]);
  });

  it('keeps an embedded header that no session replaces, and takes the last one that was set', () => {
    const atlas = emptyAtlas();
    const works = [5n, undefined, 6n, undefined].map((embeddedHeader) => {
      const work = new SessionWork();
      work.embeddedHeader = embeddedHeader;
      return work;
    });
    expect(plan(atlas, []).after.embeddedHeader).toBe(7n);
    expect(plan(atlas, works).after.embeddedHeader).toBe(6n);
    (works[3] as SessionWork).embeddedHeader = null;
    const planned = plan(atlas, works);
    expect(planned.after).toEqual({ currentBatch: 5, checkpoint: 1, embeddedHeader: 0n });
    expect(recordOf(planned)).toEqual({
      batch: 5,
      committedAt: 12,
      embeddedHeader: 0n,
      checkpoint: 1,
      retainedLogBytes: 99,
      operations: [],
    });
  });

  it('frees in the session whose checkpoint it is, and says which maps are given back', () => {
    const atlas = emptyAtlas();
    const [one, other] = [new SessionWork(), new SessionWork()];
    const { home, index, count, length } = push(atlas, one, 20);
    push(atlas, other, 30);
    const run = { basin: 0, stratum: 0, index, count, length };
    const freed = new Map([[one, { values: [run], logBytes: 512 }]]);
    const emptied = { firstIndex: home.endIndex, grains: 8, page: 500, further: [] };
    const dropped = [{ stratum: home, map: home.addMap(emptied, true) }];
    const { operations } = recordOf(plan(atlas, [one, other], { freed, dropped, checkpoint: 3 }));
    expect(operations.map(({ operation }) => operation)).toEqual([
      'add-basin',
      'add-stratum',
      'add-map',
      'drop-map',
      'allocate',
      'free',
      'allocate',
    ]);
  });

  it('has no time before 1970, whatever the clock says', () => {
    expect(recordOf(plan(emptyAtlas(), [], { now: -5 })).committedAt).toBe(0);
  });
});
