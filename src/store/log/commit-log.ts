/**
 * The commit log in its writer's memory: the segments with records, the place of the next record,
 * and the extents of bodies that did not fit. This file does no I/O.
 *
 * Invariants:
 * - A record goes only into a segment that was filled with zeros and that both copies of the file
 *   header list, all synced before.
 * - Consecutive records never share a page: even and odd batches have their own lanes.
 * - The space of a segment or body is freed only if its records are at or before the checkpoint and
 *   both header copies are durable past it. `Settle` decides when.
 */

import type { SegmentExtent } from '../../format/file-header.ts';
import {
  inlineSectorsMax,
  lanesPerSegment,
  pageBytes,
  sectorBytes,
  sectorsPerPage,
} from '../../format/layout.ts';
import { inlineSectors } from '../../format/log-sector.ts';
import type { BodyEntry, SegmentEntry } from '../../format/root.ts';
import { assert, present } from '../../util/assert.ts';
import type { Extent, Space } from '../file/space.ts';
import { overlap, placeForSegment } from './segment-places.ts';

/** One segment. Segments are compared by identity. */
export interface LogSegment extends SegmentExtent {
  /** Batch of its first record; 0 without records. */
  firstBatch: number;
}

/**
 * The segment after the current one: its zeros are being written; they are durable; both copies of
 * the file header list it too.
 */
interface NextSegment {
  readonly segment: LogSegment;
  readonly state: 'filling' | 'filled' | 'ready';
}

/** The place of a record to be written. */
export interface RecordTarget {
  readonly segment: LogSegment;
  /** Its first sector in the file, and its number of sectors. */
  readonly sector: number;
  readonly sectors: number;
  /** The extent of its body, if the body does not fit into the sectors. */
  readonly extent: Extent | undefined;
}

/** The log as of a batch, for the file header and the root. */
export interface LogSnapshot {
  readonly laneSectors: readonly [number, number];
  readonly current: LogSegment;
  readonly segments: readonly SegmentEntry[];
  readonly bodies: readonly BodyEntry[];
  readonly retainedBytes: number;
  /** Extents without records after the checkpoint. */
  readonly dropped: readonly Extent[];
}

/** Cost of reading a record at opening, in values to apply. */
const entriesForRecord = 16;

/** First sector of a lane, and the sector after its last. */
export function laneRange(segment: SegmentExtent, lane: number): { from: number; to: number } {
  const sectors = (segment.pages * sectorsPerPage) / lanesPerSegment;
  const from = segment.page * sectorsPerPage + lane * sectors;
  return { from, to: from + sectors };
}

export class CommitLog {
  /** In order of use, the current one last. */
  #segments: LogSegment[];
  #next: NextSegment | undefined;
  /** The place at which the disk last refused the next segment. */
  #refusedPlace: Extent | undefined;
  #positions: [number, number];
  #bodies: BodyEntry[];
  #isLeaving = false;
  /** Bodies of records that only archive, from this process. */
  #archiveBodies: BodyEntry[] = [];
  #retainedBytes: number;
  bytesSinceSettle = 0;
  /** Cost of replaying the records since the last settle began, in values to apply. */
  replaySinceSettle = 0;

  constructor(state: {
    segments: LogSegment[];
    next: LogSegment | undefined;
    positions: readonly [number, number];
    bodies: readonly BodyEntry[];
    retainedBytes: number;
  }) {
    assert(state.segments.length > 0, 'the commit log has a segment');
    this.#segments = state.segments;
    this.#next = state.next && { segment: state.next, state: 'ready' };
    this.#positions = [...state.positions];
    this.#bodies = [...state.bodies];
    this.#retainedBytes = state.retainedBytes;
  }

  get segments(): readonly LogSegment[] {
    return this.#segments;
  }

  get bodies(): readonly BodyEntry[] {
    return this.#bodies;
  }

  get current(): LogSegment {
    return present(this.#segments.at(-1), 'the current segment');
  }

  /** The next segment; it may not be ready for use yet. */
  get next(): LogSegment | undefined {
    return this.#next?.segment;
  }

  get extents(): Extent[] {
    const next = this.#next === undefined ? [] : [this.#next.segment];
    return [...this.#segments, ...next, ...this.#bodies];
  }

  /** Bytes of the records after the checkpoint. */
  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  /**
   * Bytes of the records after the checkpoint once it has passed records of `bytes` bytes. Not
   * negative: the number in the file may be too low, and only verification counts the records.
   */
  retainedWithout(bytes: number): number {
    return Math.max(0, this.#retainedBytes - bytes);
  }

  // ── records ──

  /**
   * The place of the record of `batch`; undefined if neither the current segment nor a ready next
   * one has room. Takes the extent of a large body from `space`.
   *
   * `spares`: the share of its lane that it leaves free if there is no next segment. If that is not
   * 0, a body's extent leaves part of the reserve: as much as it takes, or as an earlier body that
   * only archives took. The checkpoint that frees these values has a body no longer than that.
   */
  place(
    bodyBytes: number,
    batch: number,
    { space, spares }: { space: Space; spares: number },
  ): RecordTarget | undefined {
    const lane = batch % lanesPerSegment;
    const range = laneRange(this.current, lane);
    const sectors = inlineSectors(bodyBytes);
    const inlineMax = Math.min(inlineSectorsMax, (range.to - range.from) / 8);
    const inLane = sectors <= inlineMax ? sectors : 1;
    const sector = this.#positions[lane] as number;
    let target: { segment: LogSegment; sector: number };
    const next = this.#next?.state === 'ready' ? this.#next.segment : undefined;
    const spared = next === undefined ? (range.to - range.from) * spares : 0;
    const fits = sector + inLane <= range.to - spared;
    if (fits && !this.#isLeft(next)) target = { segment: this.current, sector };
    else if (next !== undefined) target = { segment: next, sector: laneRange(next, lane).from };
    else return undefined;
    if (sectors <= inlineMax) return { ...target, sectors, extent: undefined };
    const pages = Math.ceil(bodyBytes / pageBytes);
    const page = space.allocate(pages, spares > 0 ? this.#longestArchive(pages) : 0);
    return { ...target, sectors: 1, extent: { page, pages } };
  }

  /** As `place`, for a record of one sector; undefined also if it is in the next segment. */
  placeOfOneSector(batch: number): RecordTarget | undefined {
    const segment = this.current;
    const lane = batch % lanesPerSegment;
    const sector = this.#positions[lane] as number;
    const { to } = laneRange(segment, lane);
    if (this.#isLeaving) return undefined;
    return sector < to ? { segment, sector, sectors: 1, extent: undefined } : undefined;
  }

  /** Pages of the longest record body that only archives, `least` at least. */
  #longestArchive(least: number): number {
    let longest = least;
    for (const { pages } of this.#archiveBodies) longest = Math.max(longest, pages);
    return longest;
  }

  /** A settle begins: opening will not need the records so far. */
  settleBegins(): void {
    this.bytesSinceSettle = 0;
    this.replaySinceSettle = 0;
  }

  /** Counts a record with `bytes` bytes and `entries` values for the next settle. */
  addToReplay(bytes: number, entries: number): void {
    this.bytesSinceSettle += bytes;
    this.replaySinceSettle += entries + entriesForRecord;
  }

  /**
   * The record of `batch` is durable at `target`; it has `entries` values, and archives `archived`
   * of them.
   */
  accept(target: RecordTarget, batch: number, entries: number, archived: number): void {
    const { segment, extent } = target;
    if (segment !== this.current) {
      assert(segment === this.next, 'a record goes to the current segment or the next');
      this.#segments.push(segment);
      this.#next = undefined;
      this.#isLeaving = false;
      this.#positions = [laneRange(segment, 0).from, laneRange(segment, 1).from];
    }
    if (segment.firstBatch === 0) segment.firstBatch = batch;
    this.#positions[batch % lanesPerSegment] = target.sector + target.sectors;
    if (extent !== undefined) {
      this.#bodies.push({ ...extent, batch });
      if (archived === entries) this.#archiveBodies.push({ ...extent, batch });
    }
    const bytes = recordBytes(target);
    this.#retainedBytes += bytes;
    this.addToReplay(bytes, entries);
  }

  /** The checkpoint has reached `checkpoint`, and passed records of `bytes` bytes. */
  passed(checkpoint: number, bytes: number): void {
    this.#retainedBytes = this.retainedWithout(bytes);
    if (this.#archiveBodies.length === 0) return;
    this.#archiveBodies = this.#archiveBodies.filter(({ batch }) => batch > checkpoint);
  }

  /** The next record goes to another segment, as soon as that is ready. */
  leaveCurrent(): void {
    this.#isLeaving = true;
  }

  #isLeft(next: LogSegment | undefined): boolean {
    return this.#isLeaving && next !== undefined;
  }

  // ── the next segment ──

  get nextState(): 'none' | NextSegment['state'] {
    return this.#next?.state ?? 'none';
  }

  /** True when the next segment should be made: the current one is half full. */
  get wantsNext(): boolean {
    if (this.#next !== undefined) return false;
    if (this.#isLeaving) return true;
    return [0, 1].some((lane) => {
      const { from, to } = laneRange(this.current, lane);
      return (this.#positions[lane] as number) - from >= (to - from) / 2;
    });
  }

  /**
   * Takes a place for the next segment from `space`, and leaves `keep` pages of its reserve; on a
   * full disk the segment may be shorter. It is not the place that was refused last, if there is
   * another. The caller fills it with zeros and syncs.
   */
  reserveNext(space: Space, keep = 0): LogSegment {
    assert(this.#next === undefined, 'there is one next segment');
    const before = this.current.pages;
    let place = placeForSegment(space, keep, before);
    const first = place;
    const isElsewhere = !space.tight || space.hasBacked(first.pages, keep);
    if (this.#refusedPlace !== undefined && overlap(first, this.#refusedPlace) && isElsewhere) {
      place = placeForSegment(space, keep, before);
      // Free the first place only now: otherwise it would be found again.
      space.free(first.page, first.pages);
    }
    const segment = { ...place, firstBatch: 0 };
    this.#next = { segment, state: 'filling' };
    return segment;
  }

  /** The next segment could not be filled: frees its place. */
  forgetNext(space: Space): void {
    const { page, pages } = this.#nextIn('filling');
    this.#next = undefined;
    this.#refusedPlace = { page, pages };
    space.free(page, pages);
  }

  /** The zeros of the next segment are durable: the file header may list it. */
  nextIsFilled(): void {
    this.#next = { segment: this.#nextIn('filling'), state: 'filled' };
    this.#refusedPlace = undefined;
  }

  /** Both copies of the file header list the next segment. */
  nextIsListed(): void {
    this.#next = { segment: this.#nextIn('filled'), state: 'ready' };
  }

  #nextIn(state: NextSegment['state']): LogSegment {
    const next = present(this.#next, 'the next segment');
    assert(next.state === state, 'the next segment is filled, then listed, then used');
    return next.segment;
  }

  /** The segments from `from` on, and the next one if filled: later records are in these only. */
  listFrom(from: LogSegment): SegmentExtent[] {
    const listed = this.#segments.slice(this.#segments.indexOf(from));
    if (this.#next !== undefined && this.#next.state !== 'filling') listed.push(this.#next.segment);
    return listed;
  }

  // ── settle ──

  /** The current log, for a settle that begins, with this checkpoint. */
  snapshot(checkpoint: number): LogSnapshot {
    const kept: LogSegment[] = [];
    const dropped: Extent[] = [];
    for (const [at, segment] of this.#segments.entries()) {
      const following = this.#segments[at + 1];
      if (following !== undefined && following.firstBatch - 1 <= checkpoint) dropped.push(segment);
      else kept.push(segment);
    }
    const bodies = this.#bodies.filter((body) => body.batch > checkpoint);
    dropped.push(...this.#bodies.filter((body) => body.batch <= checkpoint));
    return {
      laneSectors: [...this.#positions],
      current: this.current,
      segments: kept.filter((segment) => segment.firstBatch > 0).map((segment) => ({ ...segment })),
      bodies,
      retainedBytes: this.#retainedBytes,
      dropped,
    };
  }

  /**
   * A segment is a copy of the old one in another place, with the same pages and records in the
   * same order. Requires: the old one is not current, and no settle is under way. The caller frees
   * it after the next settle.
   */
  replaceSegment(
    { segment: old, bodies }: { segment: LogSegment; bodies: readonly BodyEntry[] },
    places: ReadonlyMap<number, Extent>,
  ): void {
    const at = this.#segments.indexOf(old);
    assert(at >= 0 && old !== this.current, 'only a segment without further records is replaced');
    this.#segments[at] = { ...old, ...places.get(old.page) };
    const moved = (body: BodyEntry): BodyEntry =>
      bodies.includes(body) ? { ...body, ...places.get(body.page) } : body;
    this.#bodies = this.#bodies.map(moved);
  }

  /** The extents of bodies of records in the segment. */
  bodiesOf(segment: LogSegment): BodyEntry[] {
    const next = this.#segments[this.#segments.indexOf(segment) + 1];
    const end = next === undefined ? Number.POSITIVE_INFINITY : next.firstBatch;
    return this.#bodies.filter(({ batch }) => batch >= segment.firstBatch && batch < end);
  }

  /** Pages that a settle would free, with this checkpoint. */
  pagesUpTo(checkpoint: number): number {
    let pages = 0;
    for (const extent of this.snapshot(checkpoint).dropped) pages += extent.pages;
    return pages;
  }

  /** Frees the extents that a snapshot dropped: both header copies are durable past it. */
  drop(dropped: readonly Extent[], space: Space): void {
    const gone = new Set(dropped);
    this.#segments = this.#segments.filter((segment) => !gone.has(segment));
    this.#bodies = this.#bodies.filter((body) => !gone.has(body));
    for (const { page, pages } of dropped) space.free(page, pages);
  }
}

/** Bytes of a record in the file. */
export function recordBytes(target: Pick<RecordTarget, 'sectors' | 'extent'>): number {
  return target.sectors * sectorBytes + (target.extent?.pages ?? 0) * pageBytes;
}
