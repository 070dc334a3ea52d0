/**
 * The commit log as its writer knows it: the segments that hold records, where the next record
 * goes, and the extents of bodies that did not fit.
 *
 * Invariant: a record goes only into a segment that was filled with zeros and that both copies of
 * the file header list, all synced before; consecutive records never share a page (even and odd
 * batches have lanes of their own). Space of a segment or body is given back only when its records
 * are at or before the checkpoint and both header copies are durable past it: `Settle` decides
 * when. This file does no I/O.
 */

import type { SegmentExtent } from '../../format/file-header.ts';
import {
  inlineSectorsMax,
  lanesPerSegment,
  pageBytes,
  sectorBytes,
  sectorsPerPage,
  segmentPagesMax,
  segmentPagesMin,
} from '../../format/layout.ts';
import { inlineSectors } from '../../format/log-sector.ts';
import type { BodyEntry, SegmentEntry } from '../../format/root.ts';
import { assert, present } from '../../util/assert.ts';
import type { Extent, Space } from '../file/space.ts';

/** One segment. Two are the same only where they are the same object. */
export interface LogSegment extends SegmentExtent {
  /** Batch of its first record; 0 where it has none yet. */
  firstBatch: number;
}

/** Where a record is to be written. */
export interface RecordTarget {
  readonly segment: LogSegment;
  /** Sector of the file that it begins with, and how many it takes there. */
  readonly sector: number;
  readonly sectors: number;
  /** The extent of its body, when that is elsewhere. */
  readonly extent: Extent | undefined;
}

/** The log as of a batch, as the file header and the root are to tell it. */
export interface LogSnapshot {
  readonly laneSectors: readonly [number, number];
  readonly current: LogSegment;
  readonly segments: readonly SegmentEntry[];
  readonly bodies: readonly BodyEntry[];
  readonly retainedBytes: number;
  /** Extents that hold nothing after the checkpoint. */
  readonly dropped: readonly Extent[];
}

/** Reading a record at opening takes as long as applying so many of its values. */
const entriesForRecord = 16;

/** First sector of a lane, and the sector after its last. */
export function laneRange(segment: SegmentExtent, lane: number): { from: number; to: number } {
  const sectors = (segment.pages * sectorsPerPage) / lanesPerSegment;
  const from = segment.page * sectorsPerPage + lane * sectors;
  return { from, to: from + sectors };
}

/** Two or three segments are there at a time: small parts of the file. */
const segmentShare = 256;

/** Pages of a new segment in a file of so many bytes. */
function segmentPagesFor(fileBytes: number): number {
  const wanted = fileBytes / segmentShare / pageBytes;
  let pages = segmentPagesMin;
  while (pages * 2 <= wanted && pages < segmentPagesMax) pages *= 2;
  return pages;
}

export class CommitLog {
  /** In order of use, the current one last. */
  #segments: LogSegment[];
  #next: LogSegment | undefined;
  #nextReady = false;
  #positions: [number, number];
  #bodies: BodyEntry[];
  /** Those that only archive, and have been made by this process. */
  #archiveBodies: BodyEntry[] = [];
  /** Bytes of the records after the checkpoint. */
  retainedBytes: number;
  bytesSinceSettle = 0;
  /** What opening would do with the records since the last settle began, in values to apply. */
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
    this.#next = state.next;
    this.#nextReady = state.next !== undefined;
    this.#positions = [...state.positions];
    this.#bodies = [...state.bodies];
    this.retainedBytes = state.retainedBytes;
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

  /** The segment to be used next, filled with zeros, whether or not it may be used yet. */
  get next(): LogSegment | undefined {
    return this.#next;
  }

  get extents(): Extent[] {
    const next = this.#next === undefined ? [] : [this.#next];
    return [...this.#segments, ...next, ...this.#bodies];
  }

  // ── records ──

  /**
   * Where the record of `batch` goes; undefined where neither the current segment nor a ready next
   * one has room. Takes the extent of a large body from `space`. `spares`: the part of its lane
   * that it leaves for others where there is no next segment; then it leaves a reserve too, for the
   * checkpoint that frees what it archives, or what one before it has: that is no longer.
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
    const end = this.#nextReady ? range.to : range.to - (range.to - range.from) * spares;
    if (sector + inLane <= end) target = { segment: this.current, sector };
    else if (this.#next !== undefined && this.#nextReady) {
      target = { segment: this.#next, sector: laneRange(this.#next, lane).from };
    } else return undefined;
    if (sectors <= inlineMax) return { ...target, sectors, extent: undefined };
    const pages = Math.ceil(bodyBytes / pageBytes);
    const keep = Math.max(pages, ...this.#archiveBodies.map((body) => body.pages));
    const page = space.allocate(pages, spares > 0 ? keep : 0);
    space.reach(page + pages);
    return { ...target, sectors: 1, extent: { page, pages } };
  }

  /** A settle begins: opening will not need the records before. */
  settleBegins(): void {
    this.bytesSinceSettle = 0;
    this.replaySinceSettle = 0;
  }

  /** A record with so many values and bytes is one that opening would replay. */
  addToReplay(bytes: number, entries: number): void {
    this.bytesSinceSettle += bytes;
    this.replaySinceSettle += entries + entriesForRecord;
  }

  /**
   * The record of `batch`, with so many values, some of which it archives, is durable at `target`.
   */
  accept(target: RecordTarget, batch: number, entries: number, archived: number): void {
    const { segment, extent } = target;
    if (segment !== this.current) {
      assert(segment === this.#next, 'a record goes to the current segment or the next');
      this.#segments.push(segment);
      this.#next = undefined;
      this.#nextReady = false;
      this.#positions = [laneRange(segment, 0).from, laneRange(segment, 1).from];
    }
    if (segment.firstBatch === 0) segment.firstBatch = batch;
    this.#positions[batch % lanesPerSegment] = target.sector + target.sectors;
    if (extent !== undefined) {
      this.#bodies.push({ ...extent, batch });
      if (archived === entries) this.#archiveBodies.push({ ...extent, batch });
    }
    const bytes = recordBytes(target);
    this.retainedBytes += bytes;
    this.addToReplay(bytes, entries);
  }

  /** The checkpoint has passed these batches. */
  passed(checkpoint: number): void {
    if (this.#archiveBodies.length === 0) return;
    this.#archiveBodies = this.#archiveBodies.filter(({ batch }) => batch > checkpoint);
  }

  // ── segments ──

  /** True when the next segment should be made: the current one is half full. */
  get wantsNext(): boolean {
    if (this.#next !== undefined) return false;
    return [0, 1].some((lane) => {
      const { from, to } = laneRange(this.current, lane);
      return (this.#positions[lane] as number) - from >= (to - from) / 2;
    });
  }

  /**
   * Takes the place of the next segment from `space`, and leaves `keep` pages of its reserve; on a
   * full disk a shorter one rather than none. It is to be filled with zeros and synced.
   */
  reserveNext(space: Space, keep = 0): LogSegment {
    let pages = segmentPagesFor(space.endPage * pageBytes);
    while (space.tight && pages > segmentPagesMin && !space.hasBacked(pages, keep)) pages /= 2;
    const page = space.allocate(pages, keep);
    space.reach(page + pages);
    this.#next = { page, pages, firstBatch: 0 };
    return this.#next;
  }

  /** The next segment could not be filled: its place is given back. */
  forgetNext(space: Space): void {
    const { page, pages } = present(this.#next, 'the next segment');
    assert(!this.#nextReady, 'a segment that the file header lists is kept');
    this.#next = undefined;
    space.free(page, pages);
  }

  /** Both copies of the file header list the next segment. */
  nextIsListed(): void {
    this.#nextReady = this.#next !== undefined;
  }

  /** Every segment that a record after the one that `from` was current for may be in. */
  listFrom(from: LogSegment, withNext: boolean): SegmentExtent[] {
    const listed: SegmentExtent[] = this.#segments.slice(this.#segments.indexOf(from));
    if (withNext && this.#next !== undefined) listed.push(this.#next);
    return listed;
  }

  // ── settle ──

  /** The log as of now, for a settle that begins, with `checkpoint` reached. */
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
      retainedBytes: this.retainedBytes,
      dropped,
    };
  }

  /** Pages that a settle would give back, with `checkpoint` reached. */
  pagesUpTo(checkpoint: number): number {
    let pages = 0;
    for (const extent of this.snapshot(checkpoint).dropped) pages += extent.pages;
    return pages;
  }

  /** Gives back what a snapshot dropped: both header copies are durable past it. */
  drop(dropped: readonly Extent[], space: Space): void {
    const gone = new Set(dropped);
    this.#segments = this.#segments.filter((segment) => !gone.has(segment));
    this.#bodies = this.#bodies.filter((body) => !gone.has(body));
    for (const { page, pages } of dropped) space.free(page, pages);
  }
}

/** Bytes of the file that a record takes. */
export function recordBytes(target: Pick<RecordTarget, 'sectors' | 'extent'>): number {
  return target.sectors * sectorBytes + (target.extent?.pages ?? 0) * pageBytes;
}
