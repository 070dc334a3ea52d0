/**
 * What a session has asked for: grains that are its own until they are given up, bytes in memory
 * until they are in the file, and neighbours in the file written in one.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrainId } from '../../../src/format/grain-id.ts';
import { valueCrc } from '../../../src/format/value.ts';
import { SessionWork, type StagedValue } from '../../../src/store/commit/session-work.ts';
import { inOneGo, writeBytes } from '../../../src/store/file/effects.ts';
import { Space } from '../../../src/store/file/space.ts';
import { Atlas, defaultLimits } from '../../../src/store/grains/atlas.ts';
import { MergedWrites } from '../../../src/store/values/merged-writes.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';

function atlasOf(): Atlas {
  return new Atlas(new PagedMemory(), new Space(), defaultLimits);
}

function push(atlas: Atlas, work: SessionWork, length: number): StagedValue {
  return work.stage(atlas.reserve(length, work.preferred), patternOf(length, length));
}

function takenGrains(atlas: Atlas): number {
  return [...atlas.strata()]
    .flatMap((stratum) => stratum.maps)
    .reduce((sum, map) => sum + map.takenGrains, 0);
}

function mapCount(atlas: Atlas): number {
  return [...atlas.strata()].flatMap((stratum) => stratum.maps).length;
}

describe('a session', () => {
  it('stages prefix, bytes and zeros to the end of the grains', () => {
    const atlas = atlasOf();
    const work = new SessionWork();
    for (const length of [0, 1, 24, 25, 5000, 300_000]) {
      const value = push(atlas, work, length);
      const bytes = Buffer.from(value.bytes as Uint8Array);
      expect(bytes.length).toBe(value.count * value.home.grainBytes);
      expect(bytes.readUInt32LE(0)).toBe(length);
      expect(bytes.readUInt32LE(4)).toBe(valueCrc(value, patternOf(length, length)));
      expect(bytes.subarray(8, 8 + length).equals(patternOf(length, length))).toBe(true);
      expect(bytes.subarray(8 + length).every((byte) => byte === 0)).toBe(true);
      expect(value.id).toBe(GrainId.of(value.basin, value.stratum, value.index));
      expect(work.own(value.id)).toBe(value);
    }
    const staged = work.operations.map((one) => (one as StagedValue).bytes?.length ?? 0);
    expect(work.stagedBytes).toBe(staged.reduce((sum, bytes) => sum + bytes, 0));
  });

  it('knows its own values and no others, those pushed after the first question too', () => {
    const atlas = atlasOf();
    const work = new SessionWork();
    const other = push(atlas, new SessionWork(), 9);
    const first = push(atlas, work, 10);
    expect([work.own(first.id), work.own(other.id)]).toEqual([first, undefined]);
    const second = push(atlas, work, 11);
    expect(work.own(second.id)).toBe(second);
    work.withdraw(first);
    expect(work.own(first.id)).toBe(undefined);
    expect(work.operations).toEqual([second]);
  });

  it('withdraws any number of values without looking through the others', () => {
    const count = 4000;
    const atlas = atlasOf();
    const work = new SessionWork();
    const values = Array.from({ length: count }, () => push(atlas, work, 10));
    let looks = 0;
    const { filter, indexOf } = Array.prototype;
    Array.prototype.filter = function counted(this: unknown[], ...how: never) {
      looks += this.length;
      return filter.apply(this, how);
    } as typeof filter;
    Array.prototype.indexOf = function counted(this: unknown[], ...what: never) {
      looks += this.length;
      return indexOf.apply(this, what);
    };
    try {
      for (const value of values) work.withdraw(value);
    } finally {
      Object.assign(Array.prototype, { filter, indexOf });
    }
    expect(looks).toBeLessThan(8 * count);
    expect(work.isEmpty).toBe(true);
    expect([work.operations, work.stagedBytes]).toEqual([[], 0]);
  });

  it('releases all its grains and claims, and other sessions can take them', () => {
    const lengths = fc.array(fc.oneof(fc.nat(200), fc.nat(20_000)), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(lengths, (wanted) => {
        const atlas = atlasOf();
        const committed = push(atlas, new SessionWork(), 10);
        committed.home.publish('allocate', committed);
        const pushAndGiveUp = (lengthsPushed: readonly number[]): void => {
          const work = new SessionWork();
          for (const length of lengthsPushed) push(atlas, work, length);
          work.claim(committed.home, committed.index, committed.count, committed.length);
          expect(committed.home.isClaimed(committed.index)).toBe(true);
          work.giveUp();
          expect(work.hasEnded).toBe(true);
          expect(work.operations).toEqual([]);
          expect(work.stagedBytes).toBe(0);
          expect(takenGrains(atlas)).toBe(1);
          expect(committed.home.isClaimed(committed.index)).toBe(false);
        };
        pushAndGiveUp(wanted);
        const maps = mapCount(atlas);
        for (const length of wanted) pushAndGiveUp([length]);
        expect(mapCount(atlas)).toBe(maps);
      }),
    );
  });

  it('is open, then committing, then ended, and goes no other way', () => {
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    const durable = new SessionWork();
    expect([durable.isOpen, durable.hasEnded]).toEqual([true, false]);
    expect(() => durable.done()).toThrow(internal);
    expect(() => durable.poisoned()).toThrow(internal);
    durable.beginCommit();
    expect([durable.isOpen, durable.hasEnded]).toEqual([false, false]);
    expect(() => durable.beginCommit()).toThrow(internal);
    durable.done();
    const rejected = new SessionWork();
    rejected.beginCommit();
    inOneGo(rejected.giveUpInSteps('why'));
    expect(rejected.failure).toBe('why');
    rejected.rejected();
    expect(rejected.failure).toBe(undefined);
    const poisoned = new SessionWork();
    poisoned.beginCommit();
    poisoned.poisoned();
    const closed = new SessionWork();
    closed.closeWithStore();
    expect(closed.closedWithStore).toBe(true);
    for (const work of [durable, rejected, poisoned, closed]) {
      expect([work.isOpen, work.hasEnded]).toEqual([false, true]);
      for (const end of ['beginCommit', 'done', 'poisoned', 'giveUp'] as const) {
        expect(() => work[end]()).toThrow(internal);
      }
    }
  });

  it('withdraws a value: its grains are free, and it is not written', () => {
    const atlas = atlasOf();
    const work = new SessionWork();
    const values = [10, 20, 30].map((length) => push(atlas, work, length));
    const [, middle] = values as [StagedValue, StagedValue, StagedValue];
    const bytes = middle.bytes?.length ?? 0;
    const staged = work.stagedBytes;
    work.withdraw(middle);
    expect(work.stagedBytes).toBe(staged - bytes);
    expect(takenGrains(atlas)).toBe(3 - 1 + 1);
    expect(work.pendingWrites().length).toBe(2);
    expect(middle.withdrawn).toBe(true);
  });

  it('is empty until it is asked for something', () => {
    const work = new SessionWork();
    expect([work.isEmpty, work.onlyCheckpoints]).toEqual([true, true]);
    work.checkpointTo = 3;
    expect([work.isEmpty, work.onlyCheckpoints]).toEqual([false, true]);
    work.embeddedHeader = null;
    expect([work.isEmpty, work.onlyCheckpoints]).toEqual([false, false]);
    const pushed = new SessionWork();
    push(atlasOf(), pushed, 1);
    expect([pushed.isEmpty, pushed.onlyCheckpoints]).toEqual([false, false]);
  });

  it('keeps the first error of its writes', () => {
    const work = new SessionWork();
    work.failed('a/path', new Error('full'));
    work.failed('a/path', new Error('gone'));
    expect(work.writeError).toMatchObject({ code: 'VARVE_IO', path: 'a/path' });
    expect(work.writeError?.message).toContain('full');
  });

  it('holds no bytes any more once they are in the file', () => {
    const work = new SessionWork();
    const value = push(atlasOf(), work, 100);
    work.forgetBytes();
    expect([value.bytes, work.stagedBytes]).toEqual([undefined, 0]);
    expect(work.pendingWrites()).toEqual([]);
    expect(work.operations).toEqual([value]);
  });
});

describe('writes', () => {
  it('of values that lie side by side are one', () => {
    const atlas = atlasOf();
    const work = new SessionWork();
    const values = [10, 20, 5000, 7].map((length) => push(atlas, work, length));
    const writes = work.pendingWrites();
    const [first] = values as [StagedValue];
    expect(writes.length).toBe(1);
    expect(writes[0]?.offset).toBe(first.home.offsetOf(first.index));
    expect(writes[0]?.chunks.length).toBe(1);
    const bytes = values.reduce((sum, value) => sum + (value.bytes?.length ?? 0), 0);
    expect(writes.map(writeBytes)).toEqual([bytes]);
  });

  it('hold every byte of every value once, in its place, whatever the order', () => {
    const lengths = fc.array(fc.nat(9000), { maxLength: 20 });
    fc.assert(
      fc.property(lengths, fc.array(fc.nat(), { maxLength: 6 }), (wanted, gaps) => {
        const atlas = atlasOf();
        const work = new SessionWork();
        const values = wanted.map((length) => push(atlas, work, length));
        for (const gap of gaps) {
          const [gone] = values.splice(gap % Math.max(1, values.length), 1);
          if (gone !== undefined) work.withdraw(gone);
        }
        const merged = [new MergedWrites(), new MergedWrites()] as const;
        for (const value of values.toReversed()) for (const one of merged) one.add(value);
        const writes = merged[0].writes();
        expect(inOneGo(merged[1].writesInSteps())).toEqual(writes);
        let end = -1;
        let written = 0;
        for (const write of writes) {
          expect(write.offset).toBeGreaterThan(end);
          const bytes = Buffer.concat(write.chunks);
          end = write.offset + bytes.length;
          for (const value of values) {
            const from = value.home.offsetOf(value.index) - write.offset;
            if (from < 0 || from >= bytes.length) continue;
            const expected = value.bytes as Uint8Array;
            expectSameBytes(bytes.subarray(from, from + expected.length), expected);
            written += expected.length;
          }
        }
        expect(written).toBe(writes.reduce((sum, write) => sum + writeBytes(write), 0));
        expect(written).toBe(values.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0));
      }),
    );
  });

  it('are the same in steps, whatever their number and order', () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.integer({ min: 1, max: 997 }), (count, stride) => {
        const atlas = atlasOf();
        const work = new SessionWork();
        const values = Array.from({ length: count }, () => push(atlas, work, 10));
        const merged = [new MergedWrites(), new MergedWrites()] as const;
        const order = values.map((_, at) => (at * stride) % 1009).map((rank, at) => ({ rank, at }));
        order.sort((one, other) => one.rank - other.rank);
        for (const { at } of order) for (const one of merged) one.add(values[at] as StagedValue);
        expect(inOneGo(merged[1].writesInSteps())).toEqual(merged[0].writes());
      }),
      { numRuns: 20 },
    );
  });
});
