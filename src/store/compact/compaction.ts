/**
 * Compaction: moves grain maps and the store's own structures towards the start of the file, and
 * cuts its end. Sessions commit and readers read meanwhile, and GrainIds do not change.
 *
 * 1. Give back the empty maps, and settle: their pages are free.
 * 2. Copy a map to free pages while nothing is reserved in it, and sync. A batch then says where it
 *    is. Its old pages are free after the next settle, which writes its marks at the new place.
 * 3. Settle with documents that leave the end of the file. Go on with the log elsewhere, and copy
 *    its settled segments.
 * 4. Cut the file.
 *
 * Invariant: a failure or a stop leaves each map whole, where it was or where it is to be. Nothing
 * that a header copy leads to is overwritten.
 */

import { ioError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { MapMove } from '../commit/commit-plan.ts';
import type { Committer } from '../commit/committer.ts';
import type { OwnBatch } from '../commit/own-batches.ts';
import type { MapPart } from '../grains/map-parts.ts';
import type { RunningOperation } from '../operations/running-operation.ts';
import type { StoreCore } from '../state/core.ts';
import { type HeldSpace, heldSpace } from './held-space.ts';
import { piecesOfSegment } from './log-copy.ts';
import { type Piece, piecesOf } from './map-copy.ts';
import {
  type Candidate,
  cutsOf,
  freeParts,
  type GrainRange,
  idealEnd,
  mapsBehind,
  mayBeCut,
  placeRanges,
} from './next-moves.ts';

/** Bytes of one read and one write. */
const pieceBounds = { min: 64 * 1024, max: 512 * 1024 };
/** Copied bytes that share a sync and a batch. */
const groupBytesMax = 8 * 1024 * 1024;
/** Maps that share a batch: a settle writes the marks of each. */
const groupMapsMax = 64;
/** The file is short enough if it is no longer than the ideal by this share. */
const enough = 1.02;
/** The log goes to another segment at most this often: the next one may be at the end too. */
const logTurnsMax = 4;

export interface CompactReport extends HeldSpace {
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
  readonly movedBytes: number;
  readonly batches: number;
}

export class Compaction {
  readonly #core: StoreCore;
  readonly #committer: Committer;
  readonly #operation: RunningOperation;
  /** Copies that no batch has moved yet, and their bytes. */
  readonly #group: MapMove[] = [];
  #groupBytes = 0;
  #moved = 0;
  #movedBytes = 0;
  #batches = 0;

  constructor(core: StoreCore, committer: Committer, operation: RunningOperation) {
    this.#core = core;
    this.#committer = committer;
    this.#operation = operation;
  }

  /** Rejects as `Store.compact`. */
  async run(): Promise<CompactReport> {
    const { reader, space } = this.#core;
    const fileBytesBefore = reader.length();
    this.#report();
    try {
      await this.#giveBackEmptyMaps();
      space.leaveFrom(idealEnd(space));
      await this.#moveMaps();
      await this.#lowerStructures();
      this.#cut();
    } finally {
      space.leaveFrom(Number.POSITIVE_INFINITY);
      for (const move of this.#group.splice(0)) this.#giveUp(move);
    }
    const held = await heldSpace(this.#core, this.#operation);
    const fileBytesAfter = reader.length();
    const { movedBytes, batches } = { movedBytes: this.#movedBytes, batches: this.#batches };
    return { fileBytesBefore, fileBytesAfter, movedBytes, batches, ...held };
  }

  #report(): void {
    const done = this.#movedBytes;
    this.#operation.report({ phase: 'moving', done, total: undefined, unit: 'bytes' });
  }

  async #commit(batch: OwnBatch): Promise<boolean> {
    await this.#operation.breathe();
    this.#batches += 1;
    return await this.#committer.commitOwn(batch);
  }

  /** Makes a whole settle, with those that are under way before it. */
  async #settle(): Promise<void> {
    await this.#finishSettle();
    await this.#commit({ settles: true });
    await this.#finishSettle();
  }

  async #finishSettle(): Promise<void> {
    while (!this.#core.housekeeping.canSettle) await this.#commit({});
  }

  async #giveBackEmptyMaps(): Promise<void> {
    const { atlas } = this.#core;
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      const { length } = atlas.emptyMaps();
      // Damaged maps stay.
      if (length === 0 || length >= before) break;
      before = length;
      await this.#commit({ drops: true });
    }
    await this.#settle();
  }

  // ── maps ──

  async #moveMaps(): Promise<void> {
    const { atlas, space } = this.#core;
    for (const candidate of mapsBehind(atlas, 0)) {
      if (!mayBeCut(candidate)) continue;
      await this.#operation.breathe();
      await this.#add(candidate, () => cutsOf(candidate));
    }
    await this.#moveGroup();
    await this.#settle();
    for (let from = idealEnd(space); ; from = 0) {
      const before = this.#moved;
      const maps = mapsBehind(atlas, from);
      // The last maps go to the first free pages. If that leaves some at the end, all maps go
      // towards the start, one after another: free stretches become one.
      for (const candidate of from > 0 ? maps : maps.reverse()) {
        const { firstIndex, grains } = candidate.map;
        await this.#add(candidate, () => [{ firstIndex, grains }]);
      }
      await this.#moveGroup();
      await this.#settle();
      const isShort = space.usedEndPage <= idealEnd(space) * enough;
      if (isShort || (this.#moved === before && from === 0)) return;
    }
  }

  /** Copies a map if it can move; a group of copies moves with one batch. */
  async #add(
    candidate: Candidate,
    rangesOf: () => readonly GrainRange[] | undefined,
  ): Promise<void> {
    const move = this.#begin(candidate, rangesOf);
    if (move === undefined) return;
    this.#group.push(move);
    await this.#copy(move);
    const isFull = this.#groupBytes >= groupBytesMax || this.#group.length >= groupMapsMax;
    if (isFull) await this.#moveGroup();
  }

  /** Takes places for the ranges of the map, and keeps it still; undefined if it cannot move. */
  #begin(
    candidate: Candidate,
    rangesOf: () => readonly GrainRange[] | undefined,
  ): MapMove | undefined {
    const { space } = this.#core;
    const { stratum, map } = candidate;
    if (stratum.mapWith(map.firstIndex) !== map || !stratum.keepStill(map)) return undefined;
    let parts: MapPart[] | undefined;
    try {
      const ranges = rangesOf();
      parts = ranges && placeRanges(space, candidate, ranges);
    } finally {
      if (parts === undefined) stratum.letGo(map);
    }
    return parts && { stratum, map, parts };
  }

  async #copy(move: MapMove): Promise<void> {
    const { values } = this.#core;
    const pieceBytes = this.#operation.pieceBytes(pieceBounds);
    for (const piece of piecesOf(values, move, pieceBytes)) {
      await this.#write(piece);
      this.#groupBytes += piece.bytes.length;
    }
  }

  async #write({ offset, bytes }: Piece): Promise<void> {
    const { path, writer } = this.#core;
    await this.#operation.spend(2 * bytes.length);
    try {
      await writer.perform(writer.write({ offset, chunks: [bytes] }));
    } catch (error) {
      throw ioError('compacting', path, error);
    }
    this.#movedBytes += bytes.length;
    this.#report();
    await this.#operation.breathe();
  }

  /** Has the maps of the group moved by one batch. */
  async #moveGroup(): Promise<void> {
    if (this.#group.length === 0) return;
    await this.#committer.syncCopies();
    while (!(await this.#commit({ moves: this.#group })));
    const group = this.#group.splice(0);
    this.#groupBytes = 0;
    for (const move of group) {
      if (hasMoved(move)) this.#moved += 1;
      else this.#giveUp(move);
    }
  }

  /** The map stays where it is. */
  #giveUp(move: MapMove): void {
    const { stratum, map, parts } = move;
    // After a failed sync nothing is known, and nothing more is written.
    if (this.#core.poisoned || hasMoved(move)) return;
    if (stratum.mapWith(map.firstIndex) === map) stratum.letGo(map);
    freeParts(this.#core.space, map, parts);
  }

  // ── the rest ──

  /** Documents and the log leave the pages behind the ideal end. */
  async #lowerStructures(): Promise<void> {
    const { atlas, log, space } = this.#core;
    const end = idealEnd(space);
    space.leaveFrom(end);
    for (const basin of atlas.basins) if (basin.name.page >= end) basin.touched();
    await this.#settle();
    const isBehind = (): boolean => log.current.page >= end || (log.next?.page ?? 0) >= end;
    for (let turn = 0; turn < logTurnsMax && isBehind(); turn++) {
      const { current } = log;
      log.leaveCurrent();
      while (log.current === current) await this.#commit({});
    }
    await this.#settle();
    await this.#moveSegments(end);
    await this.#settle();
  }

  /** Copies the retained segments behind `end` that have no records after the settled base. */
  async #moveSegments(end: number): Promise<void> {
    const { atlas, housekeeping, log, reader, space } = this.#core;
    for (const segment of housekeeping.settledSegments) {
      const { page, pages } = segment;
      const to = page < end ? undefined : space.takeBelow(pages, page);
      if (to === undefined) continue;
      let isCopied = false;
      try {
        for (const piece of piecesOfSegment(reader, segment, to)) await this.#write(piece);
        // A settle in the meantime lists the old place, or has freed it.
        isCopied = housekeeping.canSettle && log.segments.includes(segment);
      } finally {
        if (!isCopied) space.free(to, pages);
      }
      if (!isCopied) continue;
      log.replaceSegment(segment, to);
      atlas.leave([{ page, pages }]);
    }
  }

  #cut(): void {
    const { path, reader, space, writer } = this.#core;
    this.#operation.check();
    if (!space.tight) {
      space.releaseReserve();
      space.keepReserve();
    }
    if (reader.length() <= space.endPage * pageBytes) return;
    try {
      writer.performSync(writer.cut());
    } catch (error) {
      throw ioError('shrinking', path, error);
    }
  }
}

/** The maps that replace it are in its stratum. */
function hasMoved({ stratum, parts }: MapMove): boolean {
  return parts.every(({ firstIndex, page }) => stratum.mapWith(firstIndex)?.page === page);
}
