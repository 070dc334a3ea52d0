/**
 * Compaction: moves grain maps and the store's own structures towards the start of the file, and
 * cuts its end. Sessions commit and readers read meanwhile, and GrainIds do not change.
 *
 * 1. Give back the empty maps, and settle: their pages are free.
 * 2. Copy a map to free pages while nothing is reserved in it, and sync. A batch then says where it
 *    is. Its old pages are free after the next settle, which writes its marks at the new place. If
 *    no free stretch takes a map, one that lies in the way goes to the end of the file first.
 * 3. Settle with documents that leave the end of the file. Go on with the log elsewhere, and copy
 *    its settled segments.
 * 4. Cut the file.
 *
 * Invariant: a failure or a stop leaves each map whole, where it was or where it is to be. Nothing
 * that a header copy leads to is overwritten.
 */

import { ioError, isVarveError } from '../../errors.ts';
import { pageBytes, segmentPagesMin } from '../../format/layout.ts';
import type { MapMove } from '../commit/commit-plan.ts';
import type { OwnBatch } from '../commit/own-batches.ts';
import type { MapPart } from '../grains/map-parts.ts';
import type { StoreCore } from '../state/core.ts';
import { piecesOfSegment, placesBelow } from './log-copy.ts';
import { type Piece, piecesOf } from './map-copy.ts';
import {
  type Candidate,
  cutsOf,
  extentsOf,
  type GrainRange,
  idealEnd,
  mapInTheWay,
  mapsBehind,
  mayBeCut,
  placeRanges,
} from './next-moves.ts';

/** Copied bytes that share a sync and a batch: the sync may be made on the calling thread. */
const groupBounds = { min: 256 * 1024, max: 8 * 1024 * 1024 };
/** A sync of copies should take at most this long, milliseconds. */
const syncMsMax = 5;
/** Maps that share a batch: a settle writes the marks of each. */
const groupMapsMax = 64;
/** The file is short enough if it is no longer than the ideal by this share. */
const enough = 1.02;
/** A map is moved out of the way if the file is longer than the ideal by this share … */
const worthRoom = 1.05;
/** … and if the free pages before it are this share of the ideal. */
const roomShareMin = 1 / 64;
/** Pages that are cut off at a time, on the calling thread: 2 MiB take some milliseconds. */
const cutPagesMax = (2 * 1024 * 1024) / pageBytes;
/** The log goes to another segment at most this often: the next one may be at the end too. */
const logTurnsMax = 4;

/** The next thing that a compaction needs done. */
export type CompactionStep =
  /** The piece is to be written. */
  | { readonly do: 'write'; readonly piece: Piece }
  /** A sync is to begin and end: the copies are durable then. */
  | { readonly do: 'sync' }
  /** A batch is to be made: the answer is false if its maps could not move yet. */
  | { readonly do: 'batch'; readonly batch: OwnBatch }
  | { readonly do: 'pause' };

/** A compaction as steps: who carries them out decides when. */
export type CompactionSteps<T> = Generator<CompactionStep, T, boolean>;

const pause: CompactionStep = { do: 'pause' };
const sync: CompactionStep = { do: 'sync' };

export class Compaction {
  readonly #core: StoreCore;
  readonly #pieceBytes: number;
  /** Copies that no batch has moved yet, and their bytes. */
  readonly #group: MapMove[] = [];
  #groupBytes = 0;
  #groupBytesMax = groupBounds.min;
  #moved = 0;
  #roomsLeft: number;
  /** The error of the last copy that the disk refused. */
  #refused: Error | undefined;

  /**
   * `pieceBytes`: of one read and one write, at most. `roomsMax`: maps that may be moved to the end
   * of the file, so that later ones find room.
   */
  constructor(core: StoreCore, pieceBytes: number, roomsMax: number) {
    this.#core = core;
    this.#pieceBytes = pieceBytes;
    this.#roomsLeft = roomsMax;
  }

  /**
   * Ends when moving gains nothing more. If it is ended before, maps that are being copied stay
   * where they are. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  *steps(): CompactionSteps<void> {
    const { space } = this.#core;
    try {
      yield* this.#giveBackEmptyMaps();
      space.leaveFrom(idealEnd(space));
      yield* this.#moveMaps();
      yield* this.#lowerStructures();
      yield* this.#cut();
    } finally {
      space.leaveFrom(Number.POSITIVE_INFINITY);
      for (const move of this.#group.splice(0)) this.#giveUp(move);
    }
  }

  /** A sync of copies has taken this long, milliseconds: the next group is longer or shorter. */
  syncTook(ms: number): void {
    const factor = Math.min(2, syncMsMax / Math.max(ms, 0.1));
    const { min, max } = groupBounds;
    this.#groupBytesMax = Math.max(min, Math.min(this.#groupBytesMax * factor, max));
  }

  /** Makes a whole settle, with those that are under way before it. */
  *#settle(): CompactionSteps<void> {
    yield* this.#finishSettle();
    yield { do: 'batch', batch: { settles: true } };
    yield* this.#finishSettle();
  }

  *#finishSettle(): CompactionSteps<void> {
    while (!this.#core.housekeeping.canSettle) yield { do: 'batch', batch: {} };
  }

  *#giveBackEmptyMaps(): CompactionSteps<void> {
    const { atlas } = this.#core;
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      const { length } = atlas.emptyMaps();
      // Damaged maps stay.
      if (length === 0 || length >= before) break;
      before = length;
      yield { do: 'batch', batch: { drops: true } };
    }
    yield* this.#settle();
  }

  // ── maps ──

  *#moveMaps(): CompactionSteps<void> {
    const { atlas, space } = this.#core;
    for (const candidate of mapsBehind(atlas, 0)) {
      if (!mayBeCut(candidate)) continue;
      yield pause;
      yield* this.#add(candidate, () => cutsOf(candidate));
    }
    yield* this.#moveGroup();
    yield* this.#settle();
    for (let from = idealEnd(space); ; from = 0) {
      const before = this.#moved;
      const maps = mapsBehind(atlas, from);
      // The last maps go to the first free pages. If that leaves some at the end, all maps go
      // towards the start, one after another: free stretches become one.
      for (const candidate of from > 0 ? maps : maps.reverse()) {
        const { firstIndex, grains } = candidate.map;
        yield* this.#add(candidate, () => [{ firstIndex, grains }]);
      }
      yield* this.#moveGroup();
      yield* this.#settle();
      if (space.usedEndPage <= idealEnd(space) * enough) return;
      if (this.#moved > before || from > 0) continue;
      if (!(yield* this.#makeRoom())) return;
    }
  }

  /**
   * No free stretch has room for a map behind it: moves one map out of the way, to the end of the
   * file. True if it did.
   */
  *#makeRoom(): CompactionSteps<boolean> {
    const { atlas, space } = this.#core;
    const ideal = idealEnd(space);
    if (this.#roomsLeft === 0 || space.tight || space.usedEndPage <= ideal * worthRoom)
      return false;
    this.#roomsLeft -= 1;
    const pagesMin = Math.ceil(ideal * roomShareMin);
    const candidate = mapInTheWay(space.freeStretches(), pagesMin, mapsBehind(atlas, 0));
    if (candidate === undefined) return false;
    const before = this.#moved;
    const { firstIndex, grains } = candidate.map;
    try {
      yield* this.#add(candidate, () => [{ firstIndex, grains }], 'anywhere');
    } catch (error) {
      // The disk has no room for it: the file stays as long as it is.
      if (this.#core.poisoned || error !== this.#refused) throw error;
      for (const move of this.#group.splice(0)) this.#giveUp(move);
      return false;
    }
    yield* this.#moveGroup();
    yield* this.#settle();
    return this.#moved > before;
  }

  /** Copies a map if it can move; a group of copies moves with one batch. */
  *#add(
    candidate: Candidate,
    rangesOf: () => readonly GrainRange[] | undefined,
    place: 'before' | 'anywhere' = 'before',
  ): CompactionSteps<void> {
    const move = this.#begin(candidate, rangesOf, place);
    if (move === undefined) return;
    this.#group.push(move);
    yield* this.#copy(move);
    const isFull = this.#groupBytes >= this.#groupBytesMax || this.#group.length >= groupMapsMax;
    if (isFull) yield* this.#moveGroup();
  }

  /** Takes places for the ranges of the map, and keeps it still; undefined if it cannot move. */
  #begin(
    candidate: Candidate,
    rangesOf: () => readonly GrainRange[] | undefined,
    place: 'before' | 'anywhere',
  ): MapMove | undefined {
    const { space } = this.#core;
    const { stratum, map } = candidate;
    if (stratum.mapWith(map.firstIndex) !== map || !stratum.moves.keepStill(map)) return undefined;
    let parts: MapPart[] | undefined;
    try {
      const ranges = rangesOf();
      parts = ranges && placeRanges(space, candidate, ranges, place);
    } finally {
      if (parts === undefined) stratum.moves.letGo(map);
    }
    if (parts === undefined) return undefined;
    return { stratum, map, parts, loan: this.#core.lent.lend(extentsOf(map, parts)) };
  }

  *#copy(move: MapMove): CompactionSteps<void> {
    const { values } = this.#core;
    for (const piece of piecesOf(values, move, this.#pieceBytes)) {
      try {
        yield { do: 'write', piece };
      } catch (error) {
        if (isVarveError(error, 'VARVE_IO')) this.#refused = error;
        throw error;
      }
      this.#groupBytes += piece.bytes.length;
    }
  }

  /** Has the maps of the group moved by one batch. */
  *#moveGroup(): CompactionSteps<void> {
    if (this.#group.length === 0) return;
    yield sync;
    while (!(yield { do: 'batch', batch: { moves: this.#group } }));
    const group = this.#group.splice(0);
    this.#groupBytes = 0;
    for (const move of group) {
      if (move.loan.isOwned) this.#moved += 1;
      else this.#giveUp(move);
    }
  }

  /** The map stays where it is. */
  #giveUp(move: MapMove): void {
    const { stratum, map, loan } = move;
    // After a failed sync nothing is known, and nothing more is written.
    if (this.#core.poisoned || loan.isOwned) return;
    if (stratum.mapWith(map.firstIndex) === map) stratum.moves.letGo(map);
    loan.giveBack();
  }

  // ── the rest ──

  /** Documents and the log leave the pages behind the ideal end. */
  *#lowerStructures(): CompactionSteps<void> {
    const { atlas, log, space } = this.#core;
    const end = idealEnd(space);
    space.leaveFrom(end);
    for (const basin of atlas.basins) if (basin.name.page >= end) basin.touched();
    yield* this.#settle();
    const isBehind = (): boolean => {
      const { current, next } = log;
      if (current.page >= end || (next?.page ?? 0) >= end) return true;
      return log.bodies.some(({ page, batch }) => page >= end && batch >= current.firstBatch);
    };
    // Without room before the last of its segments the log would only take more of the file.
    const hasRoom = (): boolean => {
      const { current, next } = log;
      if (next !== undefined && next.page < current.page) return true;
      const page = space.takeBelow(segmentPagesMin, Math.max(current.page, next?.page ?? 0));
      if (page !== undefined) space.free(page, segmentPagesMin);
      return page !== undefined;
    };
    for (let turn = 0; turn < logTurnsMax && isBehind() && hasRoom(); turn++) {
      const { current } = log;
      log.leaveCurrent();
      while (log.current === current) yield { do: 'batch', batch: {} };
    }
    yield* this.#settle();
    yield* this.#moveSegments(end);
    yield* this.#settle();
  }

  /** Copies the retained segments behind `end` that have no records after the settled base. */
  *#moveSegments(end: number): CompactionSteps<void> {
    const { atlas, lent, housekeeping, log, reader, space } = this.#core;
    for (const segment of housekeeping.settledSegments) {
      const bodies = log.bodiesOf(segment);
      if (segment.page < end && bodies.every(({ page }) => page < end)) continue;
      const extents = [segment, ...bodies];
      const places = placesBelow(space, extents, Math.max(...extents.map(({ page }) => page)));
      if (places === undefined) continue;
      let isCopied = false;
      const loan = lent.lend([...places.values()]);
      try {
        for (const piece of piecesOfSegment(reader, { segment, bodies }, places)) {
          yield { do: 'write', piece };
        }
        // A settle in the meantime lists the old places, or has freed some of them.
        const isThere = bodies.every((body) => log.bodies.includes(body));
        isCopied = housekeeping.canSettle && log.segments.includes(segment) && isThere;
      } finally {
        if (isCopied) loan.own();
        else loan.giveBack();
      }
      if (!isCopied) continue;
      log.replaceSegment({ segment, bodies }, places);
      atlas.leave([segment, ...bodies].map(({ page, pages }) => ({ page, pages })));
    }
  }

  *#cut(): CompactionSteps<void> {
    const { path, reader, space, writer } = this.#core;
    if (!space.tight) {
      space.releaseReserve();
      space.keepReserve();
    }
    while (reader.length() > space.endPage * pageBytes) {
      try {
        writer.performSync(writer.cut(cutPagesMax));
      } catch (error) {
        throw ioError('shrinking', path, error);
      }
      yield pause;
    }
  }
}
