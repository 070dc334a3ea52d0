/**
 * Where records of the commit log go, against a plain list of them: in lanes, in segments that are
 * listed, never two in a row on one page, and given back only behind the checkpoint.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sectorBytes, sectorsPerPage } from '../../../src/format/layout.ts';
import { inlineSectors } from '../../../src/format/log-sector.ts';
import { type Extent, Space } from '../../../src/store/file/space.ts';
import {
  CommitLog,
  type LogSegment,
  laneRange,
  type RecordTarget,
  recordBytes,
} from '../../../src/store/log/commit-log.ts';

interface PlainRecord {
  readonly batch: number;
  readonly target: RecordTarget;
}

function pagesOf({ sector, sectors }: RecordTarget): number[] {
  const pages = new Set<number>();
  for (let at = sector; at < sector + sectors; at++) pages.add(Math.floor(at / sectorsPerPage));
  return [...pages];
}

/** A log, its space, and what was written to it. */
class LogPair {
  readonly space = new Space();
  readonly log: CommitLog;
  records: PlainRecord[] = [];
  batch = 0;
  checkpoint = 0;

  constructor() {
    const first: LogSegment = { page: 2, pages: 16, firstBatch: 0 };
    this.space.rebuild([{ page: 0, pages: 2 }, first], 0);
    this.log = new CommitLog({
      segments: [first],
      next: undefined,
      positions: [laneRange(first, 0).from, laneRange(first, 1).from],
      bodies: [],
      retainedBytes: 0,
    });
  }

  append(bodyBytes: number): void {
    const batch = this.batch + 1;
    let target = this.log.place(bodyBytes, batch, { space: this.space, spares: 0 });
    if (target === undefined) {
      if (this.log.next === undefined) this.log.reserveNext(this.space);
      expect(this.log.place(bodyBytes, batch, { space: this.space, spares: 0 })).toBe(undefined);
      if (this.log.nextState === 'filling') this.log.nextIsFilled();
      this.log.nextIsListed();
      target = this.log.place(bodyBytes, batch, { space: this.space, spares: 0 });
    }
    this.#check(target as RecordTarget, bodyBytes, batch);
    this.log.accept(target as RecordTarget, batch, 1, 0);
    this.batch = batch;
    this.records.push({ batch, target: target as RecordTarget });
  }

  #check(target: RecordTarget, bodyBytes: number, batch: number): void {
    const { from, to } = laneRange(target.segment, batch % 2);
    expect(target.sector).toBeGreaterThanOrEqual(from);
    expect(target.sector + target.sectors).toBeLessThanOrEqual(to);
    const { extent } = target;
    expect(target.sectors).toBe(extent === undefined ? inlineSectors(bodyBytes) : 1);
    if (extent !== undefined) expect(extent.pages * 4096).toBeGreaterThanOrEqual(bodyBytes);
    const last = this.records.at(-1)?.target;
    const lastPages = last === undefined ? [] : pagesOf(last);
    expect(pagesOf(target).filter((page) => lastPages.includes(page))).toEqual([]);
    for (const { target: other } of this.records) {
      const apart =
        other.sector + other.sectors <= target.sector ||
        target.sector + target.sectors <= other.sector;
      expect(apart).toBe(true);
    }
  }

  /** Settles: what lies behind the checkpoint is dropped. */
  drop(checkpoint: number): void {
    this.checkpoint = checkpoint;
    const snapshot = this.log.snapshot(checkpoint);
    const kept = this.records.filter(({ batch }) => batch > checkpoint);
    for (const { target } of kept) {
      expect(snapshot.dropped).not.toContain(target.segment);
      const { page } = target.segment;
      expect(snapshot.segments.some((segment) => segment.page === page)).toBe(true);
    }
    const bodies = kept.flatMap(({ batch, target }) =>
      target.extent === undefined ? [] : [{ ...target.extent, batch }],
    );
    expect(snapshot.bodies).toEqual(bodies);
    expect(snapshot.segments.every(({ firstBatch }) => firstBatch > 0)).toBe(true);
    expect(snapshot.current).toBe(this.log.current);
    this.log.drop(snapshot.dropped, this.space);
    this.records = this.records.filter(({ target }) => this.log.segments.includes(target.segment));
  }

  /** Log and free space are the whole of the file. */
  checkSpace(): void {
    const used: Extent[] = [{ page: 0, pages: 2 }, ...this.log.extents];
    const all = [...used, ...this.space.stretches()].sort((one, other) => one.page - other.page);
    let end = 0;
    for (const { page, pages } of all) {
      expect(page).toBe(end);
      end = page + pages;
    }
    expect(end).toBe(this.space.endPage);
  }
}

const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      append: fc.oneof(fc.nat(400), fc.nat(4000), fc.integer({ min: 0, max: 100_000 })),
      times: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ checkpoint: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.constant('next' as const) },
);

describe('the commit log', () => {
  it('writes no record over a live one, and frees the places of stale ones', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const pair = new LogPair();
        for (const one of commands) {
          if (one === 'next') {
            if (pair.log.wantsNext) pair.log.reserveNext(pair.space);
          } else if ('append' in one) {
            for (let time = 0; time < one.times; time++) pair.append(one.append);
          } else {
            const reach = pair.batch - pair.checkpoint;
            pair.drop(pair.checkpoint + Math.floor(one.checkpoint * reach));
          }
          pair.checkSpace();
        }
        const written = pair.records.reduce((sum, { target }) => sum + recordBytes(target), 0);
        expect(pair.log.bytesSinceSettle).toBeGreaterThanOrEqual(written);
      }),
      { numRuns: 80 },
    );
  });

  it('has a lane for even and a lane for odd batches, which together are the segment', () => {
    const even = laneRange({ page: 10, pages: 16 }, 0);
    const odd = laneRange({ page: 10, pages: 16 }, 1);
    expect(even).toEqual({ from: 80, to: 144 });
    expect(odd).toEqual({ from: 144, to: 208 });
  });

  it('continues in the next segment only when both headers list it', () => {
    const pair = new LogPair();
    while (!pair.log.wantsNext) pair.append(100);
    const next = pair.log.reserveNext(pair.space);
    expect(pair.log.wantsNext).toBe(false);
    let target = pair.log.place(100, pair.batch + 1, { space: pair.space, spares: 0 });
    while (target !== undefined) {
      expect(target.segment).not.toBe(next);
      pair.append(100);
      if (pair.log.nextState === 'filling') pair.log.nextIsFilled();
      target = pair.log.place(100, pair.batch + 1, { space: pair.space, spares: 0 });
    }
    expect(pair.log.current).not.toBe(next);
    pair.log.nextIsListed();
    pair.append(100);
    expect(pair.log.current).toBe(next);
    expect(next.firstBatch).toBe(pair.batch);
    expect(pair.log.next).toBe(undefined);
    // Both lanes go on there, the one that had room in the old segment too.
    expect(pair.log.place(100, pair.batch + 1, { space: pair.space, spares: 0 })?.segment).toBe(
      next,
    );
  });

  it('takes the next segment through its states in their order', () => {
    const { log, space } = new LogPair();
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    expect(log.nextState).toBe('none');
    expect(() => log.nextIsFilled()).toThrow(internal);
    log.reserveNext(space);
    expect(() => log.reserveNext(space)).toThrow(internal);
    expect(() => log.nextIsListed()).toThrow(internal);
    log.nextIsFilled();
    expect(() => log.forgetNext(space)).toThrow(internal);
    log.nextIsListed();
    expect(log.nextState).toBe('ready');
  });

  it('makes the next segment elsewhere than where the disk refused it, until one is filled', () => {
    const { log, space } = new LogPair();
    const first = log.reserveNext(space).page;
    log.forgetNext(space);
    expect(space.endPage).toBe(first);
    expect(log.reserveNext(space).page).toBe(first + 32);
    expect(space.freePages).toBe(32);
    log.nextIsFilled();
  });

  it('lists every segment that a later record may be in', () => {
    const pair = new LogPair();
    const first = pair.log.current;
    while (pair.log.segments.length < 3) pair.append(2000);
    const next = pair.log.reserveNext(pair.space);
    expect(pair.log.listFrom(first)).toEqual(pair.log.segments);
    expect(pair.log.listFrom(pair.log.current)).toEqual([pair.log.current]);
    pair.log.nextIsFilled();
    expect(pair.log.listFrom(first)).toEqual([...pair.log.segments, next]);
  });

  it('takes a body that is large for its lane to an extent of its own', () => {
    const pair = new LogPair();
    const most = 8 * 480 - 24;
    expect(pair.log.place(most, 1, { space: pair.space, spares: 0 })).toMatchObject({
      sectors: 8,
      extent: undefined,
    });
    const target = pair.log.place(most + 1, 1, { space: pair.space, spares: 0 }) as RecordTarget;
    expect(target).toMatchObject({ sectors: 1, extent: { page: 18, pages: 1 } });
    expect(recordBytes(target)).toBe(sectorBytes + 4096);
    pair.log.accept(target, 1, 1, 0);
    expect(pair.log.bodies).toEqual([{ page: 18, pages: 1, batch: 1 }]);
    expect(pair.log.retainedBytes).toBe(sectorBytes + 4096);
  });

  it('counts the bytes that it has written since the last settle', () => {
    const pair = new LogPair();
    for (let times = 0; times < 5; times++) pair.append(1000);
    expect(pair.log.bytesSinceSettle).toBe(5 * 3 * sectorBytes);
    expect(pair.log.retainedBytes).toBe(5 * 3 * sectorBytes);
  });

  it('drops no segment that its records continue in', () => {
    const pair = new LogPair();
    for (let times = 0; times < 10; times++) pair.append(100);
    expect(pair.log.snapshot(10).dropped).toEqual([]);
    while (pair.log.segments.length < 2) pair.append(100);
    const [first, second] = pair.log.segments as [LogSegment, LogSegment];
    expect(pair.log.snapshot(second.firstBatch - 2).dropped).toEqual([]);
    expect(pair.log.snapshot(second.firstBatch - 1).dropped).toEqual([first]);
    expect(pair.log.snapshot(pair.batch).dropped).toEqual([first]);
  });

  it('accepts a record only in one of its own segments', () => {
    const pair = new LogPair();
    const foreign = { page: 90, pages: 16, firstBatch: 0 };
    const target = { segment: foreign, sector: 720, sectors: 1, extent: undefined };
    expect(() => pair.log.accept(target, 1, 1, 0)).toThrow(
      expect.objectContaining({ code: 'VARVE_INTERNAL' }),
    );
  });

  it('makes larger segments in a larger file', () => {
    const pagesIn = (endPage: number): number => {
      const pair = new LogPair();
      pair.space.allocate(endPage - pair.space.endPage);
      return pair.log.reserveNext(pair.space).pages;
    };
    expect(pagesIn(100)).toBe(32);
    expect(pagesIn(64 * 256)).toBe(64);
    expect(pagesIn(1_000_000)).toBe(256);
  });

  it.each([
    [20, 16],
    [15, 8],
    [7, 4],
    [3, 2],
  ])('with %d free pages on a full disk the next segment has %d', (free, pages) => {
    const pair = new LogPair();
    const { space } = pair;
    const page = space.allocate(free);
    space.allocate(1);
    const end = space.endPage;
    space.written(0, end);
    space.free(page, free);
    space.refused(end, end + 1, true);
    const next = pair.log.reserveNext(space);
    expect(next.pages).toBe(pages);
    expect(next.page).toBe(page);
  });
});
