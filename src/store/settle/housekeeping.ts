/**
 * Housekeeping: writes that ride on commits, so that opening stays fast and later commits small.
 * They are settles with the values that the log carries, the next log segment, zeros ahead of need,
 * and file header copies, also the one that opening left behind.
 *
 * Invariant: it makes no sync while the store is open; its writes count only after a sync that
 * began later (`synced`). A failed write is repeated in the next round, before anything depends on
 * it; if it fails again, that round's commit fails. A document or segment may go elsewhere then;
 * a carried value that was freed meanwhile is left out. Nothing runs between commits: there are no
 * timers, so a loop of `commitSync` does its share.
 */

import { headerSegmentsMax, pageBytes, segmentPagesMin } from '../../format/layout.ts';
import { present } from '../../util/assert.ts';
import { type FileWrite, writeBytes } from '../file/effects.ts';
import type { LogSegment } from '../log/commit-log.ts';
import type { HomeWrite } from '../values/carried-values.ts';
import { Settle, type SettleParts } from './settle.ts';

/** Settle writes that ride on one commit. */
const settleWritesMax = 64;
/**
 * A settle is due when the log since the last one reaches a 32nd of the file: at least 256 KiB, at
 * most 1 MiB. It is also due when the extents that wait for one reach a 64th, at least 64 KiB, so
 * that a small store stays small. 256 KiB are 512 small commits, which an opening replays in 2 ms.
 */
const logShare = 32;
const leavingShare = 64;
const settleBytesMin = 256 * 1024;
const leavingBytesMin = 64 * 1024;
const settleBytesMax = 1024 * 1024;
/**
 * A settle is also due when opening after a kill would replay at least `replayMax` values, which
 * takes some milliseconds. It must also be `replayForEachPage` values or more for each page that
 * the settle would write.
 */
const replayMax = 8192;
const replayForEachPage = 128;
/**
 * A settle is also due when the dirty mark pages, which cannot be evicted, are more than one commit
 * writes and than a quarter of the memory for mark pages. All beyond this go with the next commit,
 * since each commit may make more pages dirty than a settle writes otherwise.
 */
const dirtyShare = 4;
const fillBytesMax = 1024 * 1024;
/** Documents of a settle that a full disk may refuse before a commit fails. */
const madeAgainMax = 6;
/** Unsettled segments after which a settle begins, whatever the bytes. */
const segmentsBeforeSettle = headerSegmentsMax - 8;

/** A write and its purpose. */
export interface HousekeepingWrite extends FileWrite {
  readonly purpose: 'home' | 'settle' | 'header' | 'segment' | 'fill';
  /** For 'home': the values that it writes to their grains. */
  readonly values?: HomeWrite['values'];
}

/** The writes of one round; `repeated`: a write of the round before failed. */
export interface HousekeepingRound {
  readonly writes: readonly HousekeepingWrite[];
  readonly repeated: boolean;
}

/** The writes that a round may have besides those that are due. */
export interface HousekeepingWish {
  /** All writes of a settle that are possible now. */
  readonly urgent: boolean;
  /** The next log segment, even if it is not needed yet. */
  readonly room: boolean;
  /** Zeros ahead too. */
  readonly fill: boolean;
  /** Reserve pages that the next segment must leave. */
  readonly keep?: number;
}

export class Housekeeping {
  readonly #parts: SettleParts;
  readonly #settleBytes: number | undefined;
  #settle: Settle | undefined;
  #failed: HousekeepingWrite[] = [];
  /** Writes of carried values that have returned, and that no sync covers yet. */
  #home: HomeWrite[] = [];
  #hasFailed = false;
  /** A commit waits for this round: it is not for a settle alone. */
  #isForCommit = false;
  /** Number of documents of this settle that the disk has refused. */
  #madeAgain = 0;
  /** The first segment with records after the settled base; the file header lists it first. */
  #firstSegment: LogSegment;

  constructor(parts: SettleParts, settleBytes: number | undefined) {
    this.#parts = parts;
    this.#settleBytes = settleBytes;
    const { log, headers } = parts;
    const first = headers.content.segments[0];
    const known = log.segments.find(({ page }) => page === first?.page);
    this.#firstSegment = present(known, 'the first segment that the file header lists');
  }

  /** Nothing is left to write or sync except header copies. */
  get atRest(): boolean {
    if (this.#settle !== undefined || this.#failed.length > 0) return false;
    return this.#parts.log.nextState !== 'filling';
  }

  /** Nothing is left to write or sync. */
  get idle(): boolean {
    return this.atRest && this.#parts.headers.agreed;
  }

  /** A commit finds nothing to write besides its own, and nothing that waits for its sync. */
  get quiet(): boolean {
    if (this.#settle !== undefined || this.#hasFailed || this.#failed.length > 0) return false;
    const { headers, log, space } = this.#parts;
    if (log.nextState === 'none' ? log.wantsNext : log.nextState !== 'ready') return false;
    return headers.agreed && space.isFilledAhead;
  }

  get #unsettledSegments(): number {
    const { segments } = this.#parts.log;
    return segments.length - segments.indexOf(this.#firstSegment);
  }

  /** True if a settle is due and can begin: none is under way. */
  get settleDue(): boolean {
    const { atlas, log, headers, space } = this.#parts;
    if (this.#settle !== undefined || !headers.agreed) return false;
    if (this.#unsettledSegments >= segmentsBeforeSettle) return true;
    const fileBytes = space.endPage * pageBytes;
    const share = Math.min(settleBytesMax, Math.max(settleBytesMin, fileBytes / logShare));
    if (log.bytesSinceSettle >= (this.#settleBytes ?? share)) return true;
    if (this.#settleBytes === undefined && this.#replayIsLong) return true;
    if (this.#dirtyBeyondShare > 0) return true;
    const leavingBytes = atlas.leavingPages * pageBytes;
    return leavingBytes >= Math.max(leavingBytesMin, fileBytes / leavingShare);
  }

  /** Replay at opening would take long, and longer than a settle of the dirty mark pages. */
  get #replayIsLong(): boolean {
    const { atlas, log } = this.#parts;
    const units = log.replaySinceSettle;
    return units >= replayMax && units >= atlas.dirtyPages * replayForEachPage;
  }

  /** Dirty mark pages beyond their share of the memory for mark pages. */
  get #dirtyBeyondShare(): number {
    const { atlas } = this.#parts;
    const pages = Math.max(atlas.loadedPages.pagesMax / dirtyShare, settleWritesMax);
    return atlas.loadedPages.size > pages ? Math.max(0, Math.ceil(atlas.dirtyPages - pages)) : 0;
  }

  /** True if a settle can begin: the last one is complete. */
  get canSettle(): boolean {
    return this.#settle === undefined && this.#parts.headers.agreed;
  }

  /** Begins a settle, due or not. `clean`: the last one before the close. */
  beginSettle(clean = false): void {
    this.#madeAgain = 0;
    this.#settle = new Settle(this.#parts, clean);
  }

  /**
   * Plans the writes of one round. Requires: a call of `failed` for each that fails, then of
   * `synced` after the sync.
   */
  plan(how: HousekeepingWish): HousekeepingRound {
    const repeated = this.#hasFailed;
    this.#hasFailed = false;
    this.#isForCommit = how.room || !how.urgent;
    if (this.#failed.length > 0) {
      const writes = this.#failed;
      this.#failed = [];
      return { writes, repeated };
    }
    const writes: HousekeepingWrite[] = [];
    const add = (purpose: HousekeepingWrite['purpose'], write: FileWrite | undefined): void => {
      if (write !== undefined) writes.push({ ...write, purpose });
    };
    const count = how.urgent ? Number.POSITIVE_INFINITY : settleWritesMax;
    if (this.#settle !== undefined) {
      for (const write of this.#settle.takeHome(count)) add('home', write);
      const most = Math.max(count - writes.length, this.#dirtyBeyondShare);
      for (const write of this.#settle.take(most)) add('settle', write);
    }
    add('header', this.#parts.headers.plan(this.#parts.published.currentBatch));
    add('segment', this.#planSegment(how.room, how.keep ?? 0));
    const fill = this.#planFill(how.fill);
    // Put the fill first: during other writes a session may get pages there and write them.
    if (fill !== undefined) writes.unshift({ ...fill, purpose: 'fill' });
    return { writes, repeated };
  }

  /** The next segment of the commit log, filled with zeros. */
  #planSegment(needed: boolean, keep: number): FileWrite | undefined {
    const { log, space } = this.#parts;
    if (log.nextState !== 'none' || !(needed || log.wantsNext)) return undefined;
    if (this.#unsettledSegments >= headerSegmentsMax - 1) return undefined;
    // On a full disk only a segment that is needed takes from the reserve or tries to grow.
    const whole = Number.POSITIVE_INFINITY;
    if (space.tight && !needed && !space.hasBacked(segmentPagesMin, whole)) return undefined;
    const { page, pages } = log.reserveNext(space, space.tight && !needed ? whole : keep);
    // The zeros that were filled in ahead are durable with the next sync, as those of a write are.
    if (this.#parts.writer.zeroed.has(page, pages) && !space.tight) return undefined;
    return { offset: page * pageBytes, chunks: zeroPages(pages) };
  }

  /**
   * Zeros after the last written page, if too few written pages are left ahead. `ahead` false: only
   * for the reserve, since a large batch has no other zeros written ahead. These are one write, 10
   * MiB at most: the next large batch would take a part of them for its values.
   */
  #planFill(ahead: boolean): FileWrite | undefined {
    const { space } = this.#parts;
    if (space.tight) return undefined;
    const missing = space.topUpReserve();
    const { endPage, fillPage, frontierPage } = space;
    if (missing === 0 && !(ahead && !space.isFilledAhead)) return undefined;
    const from = ahead ? frontierPage : Math.max(frontierPage, endPage);
    const to = Math.max(ahead ? fillPage : 0, endPage + missing);
    const most = ahead ? Math.ceil(fillBytesMax / pageBytes) : missing;
    const pages = Math.min(to - from, most);
    if (pages <= 0) return undefined;
    // Blocking: no session can get pages meanwhile that the zeros would overwrite.
    return { offset: from * pageBytes, chunks: zeroPages(pages), blocking: true };
  }

  /** A planned write has returned. */
  wrote({ purpose, values, offset, chunks }: HousekeepingWrite): void {
    if (purpose === 'fill') {
      const { zeroed } = this.#parts.writer;
      const page = offset / pageBytes;
      zeroed.add(page, page + writeBytes({ offset, chunks }) / pageBytes);
    }
    if (purpose !== 'home') return;
    const written = present(values, 'the values of a write to their grains');
    this.#home.push({ offset, chunks, values: written });
  }

  /** A planned write failed. Returns true if a second failure in a row fails the commit. */
  failed(write: HousekeepingWrite): boolean {
    // Without zeros ahead commits are only slower.
    if (write.purpose === 'fill') return false;
    if (write.purpose === 'segment') {
      // Another place may work. A commit that needs the segment reports the error.
      this.#parts.log.forgetNext(this.#parts.space);
      return false;
    }
    // A sparse file may have no blocks there, and the disk none left. The record keeps the value,
    // and the settle waits: a commit that frees values may end that.
    if (write.purpose === 'home' && this.#parts.space.tight && this.#isForCommit) return false;
    const isMadeAgain = write.purpose === 'settle' && this.#settle?.failed(write) === true;
    // On a full disk the document goes elsewhere: it fails only if it is refused everywhere.
    if (isMadeAgain && this.#parts.space.tight && this.#madeAgain++ < madeAgainMax) return true;
    this.#hasFailed = true;
    if (write.purpose === 'header') this.#parts.headers.failed();
    // A value may be freed before the next round: that one writes what is still to be written.
    else if (!isMadeAgain && write.purpose !== 'home') this.#failed.push(write);
    return true;
  }

  /**
   * A sync has completed that began after every planned write had returned. Returns the settle that
   * is complete with it, if there is one.
   */
  synced(): Settle | undefined {
    const { headers, log } = this.#parts;
    headers.synced();
    for (const write of this.#home) this.#parts.values.carried.wentHome(write);
    this.#home = [];
    if (this.#failed.length > 0) return undefined;
    if (this.#settle?.synced() === 'headers') this.#firstSegment = this.#settle.firstSegment;
    const complete = this.#settle?.done === true ? this.#settle : undefined;
    if (complete !== undefined) this.#settle = undefined;
    if (log.nextState === 'filling') {
      log.nextIsFilled();
      headers.change({ segments: log.listFrom(this.#firstSegment) });
    } else if (log.nextState === 'filled' && headers.agreed) log.nextIsListed();
    return complete;
  }
}

const zeros = new Uint8Array(pageBytes * 16);

/** `pages` pages of zeros that share the same memory. */
function zeroPages(pages: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let rest = pages * pageBytes; rest > 0; rest -= zeros.length) {
    chunks.push(rest >= zeros.length ? zeros : zeros.subarray(0, rest));
  }
  return chunks;
}
