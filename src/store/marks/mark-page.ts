/**
 * One mark page in memory: the marks of its grains as of the last published batch, and a bitmap of
 * taken grains.
 *
 * Invariants:
 * - Every committed grain is taken. A grain that is taken and not committed is reserved, or set
 *   aside (`set-aside.ts`).
 * - A page that is not loaded knows only the entry in the head of its map. It is evicted only if
 *   the file has the same marks, durably, and nothing in memory says more about its grains.
 *
 * It does not choose places of values (`grain-allocator.ts` does), nor which pages are evicted
 * (`loaded-pages.ts`).
 */

import { corrupt } from '../../errors.ts';
import type { MarkPageName } from '../../format/grain-map.ts';
import {
  grainsPerMarkPage,
  markArchived,
  markContinues,
  markFree,
  marksBytes,
  markValue,
} from '../../format/layout.ts';
import { assert, checks, present } from '../../util/assert.ts';
import { runLengthMax } from './length-buckets.ts';
import {
  areMarksPossible,
  countMarks,
  fillRun,
  isRun,
  isTakenBits,
  markIn,
  measureMarks,
  setMark,
  takenBits,
  takenBytes,
  takenCount,
} from './packed-marks.ts';

/** The name of a page that was never written: all of its grains are free. */
export const unwrittenPage: MarkPageName = {
  generation: 0,
  crc: 0,
  free: grainsPerMarkPage,
  longestFree: runLengthMax,
};

/** Memory that the JavaScript engine takes for two typed arrays, besides their content. */
const arraysBytes = 500;
/** Memory of a loaded page beyond that of one that is not. */
export const loadedPageBytes = marksBytes + takenBytes + arraysBytes;

/** A change of a value's marks, as the log names it. */
export type MarkChange = 'allocate' | 'archive' | 'free';

/** Values, archived ones, and grains, as counted in marks. */
export interface MarkCounts {
  readonly values: number;
  readonly archived: number;
  readonly committed: number;
  readonly taken: number;
}

export class MarkPage {
  /** Index in the stratum of the page's first grain. */
  readonly firstIndex: number;
  readonly grains: number;
  /** Position among the mark pages of its map. */
  readonly ordinal: number;
  /** The page as last written by a settle, or as named when the store was opened. */
  name: MarkPageName;
  /** The page that `name` names holds the batches up to this one. Known once it is loaded. */
  stamp = 0;
  /** The allocator's slot of the page; -1: not listed. */
  listed = -1;
  #damaged = false;
  #marks: Uint8Array | undefined;
  #taken: Uint32Array | undefined;
  /** A settle has sealed it, and the sealed page may not be durable yet. */
  #isBeingWritten = false;
  /** Values of it that open or committing sessions archive. */
  #claims = 0;
  /** It was used since `passed` was last called. */
  #wasUsed = false;
  /** Strict: its counts when it was evicted. */
  #evictedCounts: MarkCounts | undefined;

  constructor(place: { ordinal: number; firstIndex: number; grains: number }, name: MarkPageName) {
    this.ordinal = place.ordinal;
    this.firstIndex = place.firstIndex;
    this.grains = place.grains;
    this.name = name;
  }

  /** The allocator lists the page in this slot. */
  listAt(slot: number): void {
    assert(this.listed < 0, 'a mark page is listed once');
    this.listed = slot;
  }

  /** The allocator lists it no longer. */
  unlist(): void {
    assert(this.listed >= 0, 'only a listed mark page is removed');
    this.listed = -1;
  }

  get loaded(): boolean {
    return this.#marks !== undefined;
  }

  /** The marks as on disk. */
  get marks(): Uint8Array {
    return present(this.#marks, 'a loaded mark page');
  }

  /** The bitmap of grains that are taken. */
  get taken(): Uint32Array {
    return present(this.#taken, 'a loaded mark page');
  }

  /** Copies the marks; without marks all grains are free. */
  load(marks: Uint8Array | undefined, stamp: number): void {
    assert(!this.loaded, 'a mark page is loaded once');
    const owned = new Uint8Array(marksBytes);
    if (marks !== undefined) owned.set(marks);
    this.#marks = owned;
    this.#taken = takenBits(marks, this.grains);
    this.stamp = stamp;
    this.#evictedCounts = undefined;
  }

  /**
   * Older marks have been loaded, and every change up to `batch` has been applied. Requires: no
   * grain is reserved.
   */
  caughtUp(batch: number): void {
    assert(batch >= this.stamp, 'a page is not caught up with an earlier batch');
    this.#taken = takenBits(this.marks, this.grains);
    this.stamp = batch;
  }

  /** The page that `name` names was damaged: its slot is written next, not that of its twin. */
  healed(): void {
    this.#damaged = true;
  }

  /** The parent was healed, and names an earlier generation than the one loaded. */
  rewrittenAs({ generation, crc }: { generation: number; crc: number }): void {
    assert(generation > this.name.generation, 'a rewritten mark page gets a later name');
    this.name = { generation, crc, ...this.measure() };
  }

  /** The generation that a settle writes next. */
  get nextGeneration(): number {
    return this.name.generation + (this.#damaged ? 2 : 1);
  }

  /** A settle writes the page as of batch `stamp`: `becomeDurable` must follow. */
  sealedAs({ generation, crc }: { generation: number; crc: number }, stamp: number): void {
    assert(generation === this.nextGeneration, 'a mark page is written to the slot not named');
    if (checks.strict) assert(stamp >= this.stamp, 'the stamp of a page does not go back');
    this.name = { generation, crc, ...this.measure() };
    this.stamp = stamp;
    this.#damaged = false;
    this.#isBeingWritten = true;
  }

  /** The page of the last `sealedAs` is durable. */
  becomeDurable(): void {
    this.#isBeingWritten = false;
  }

  /** Drops marks that turned out to be impossible. */
  forget(): void {
    this.#marks = undefined;
    this.#taken = undefined;
  }

  // ── eviction ──

  /** A session archives a value of it: the marks stay loaded until the session ends. */
  claim(): void {
    this.#claims += 1;
  }

  /** The value of a `claim` is archived, or its session gave up. */
  unclaim(): void {
    assert(this.#claims > 0, 'only a claimed value is given up');
    this.#claims -= 1;
  }

  /** It is needed: `passed` returns true the next time. */
  use(): void {
    this.#wasUsed = true;
  }

  /** True if it was used since the last call. */
  passed(): boolean {
    const wasUsed = this.#wasUsed;
    this.#wasUsed = false;
    return wasUsed;
  }

  /**
   * True if nothing is lost with the marks: no value is claimed, no grain is reserved or set aside,
   * the named page is durable. Requires: no change was published after the page was sealed.
   */
  get isSpare(): boolean {
    if (this.#claims > 0 || this.#isBeingWritten) return false;
    return isTakenBits(this.taken, this.marks, this.grains);
  }

  /** Drops the marks, which can be loaded again. Requires: `isSpare`. */
  evict(): void {
    assert(!checks.strict || this.isSpare, 'an evicted page holds nothing that the file has not');
    // Exact: the hint in a damaged head may be anything, and allocation relies on this one.
    this.name = { ...this.name, ...this.measure() };
    if (checks.strict) this.#evictedCounts = this.recount();
    this.forget();
  }

  /** Strict: the counts of an evicted page. */
  get evictedCounts(): MarkCounts | undefined {
    return this.#evictedCounts;
  }

  /** Mark of the grain at `at`, counted from the page's first. */
  mark(at: number): number {
    return markIn(this.marks, at);
  }

  /** True if the grain is committed, reserved or set aside. */
  isTaken(at: number): boolean {
    return ((this.taken[at >>> 5] as number) & (1 << (at & 31))) !== 0;
  }

  /** Grains of the value that begins at `at`; 0 if none does. */
  countAt(at: number): number {
    const { marks, grains } = this;
    if (markIn(marks, at) < markValue) return 0;
    let end = at + 1;
    while (end < grains && markIn(marks, end) === markContinues) end += 1;
    return end - at;
  }

  /**
   * Applies a logged change to the marks: a batch that is published or replayed, or records that a
   * healed page lacks. Changes nothing and returns false if the marks contradict the change. The
   * caller keeps `taken`.
   */
  apply(change: MarkChange, at: number, count: number): boolean {
    if (!this.allows(change, at, count)) return false;
    const { marks } = this;
    if (change === 'allocate') {
      fillRun(marks, at + 1, at + count, markContinues);
      setMark(marks, at, markValue);
    } else if (change === 'archive') setMark(marks, at, markArchived);
    else fillRun(marks, at, at + count, markFree);
    return true;
  }

  /** True if the marks do not contradict the change. */
  allows(change: MarkChange, at: number, count: number): boolean {
    const end = at + count;
    assert(at >= 0 && count > 0 && end <= this.grains, 'a value is within one mark page');
    const { marks } = this;
    if (change === 'allocate') return isRun(marks, at, end, markFree);
    const goesOn = end < this.grains && markIn(marks, end) === markContinues;
    if (goesOn || !isRun(marks, at + 1, end, markContinues)) return false;
    return markIn(marks, at) === (change === 'archive' ? markValue : markArchived);
  }

  /** Values, archived ones, committed and taken grains, counted in the marks. */
  recount(): MarkCounts {
    return { ...countMarks(this.marks), taken: takenCount(this.taken, this.grains) };
  }

  /** Free grains, and the longest run of them (up to 256), as committed. */
  measure(): { free: number; longestFree: number } {
    return measureMarks(this.marks, this.grains);
  }

  /** Throws `VARVE_CORRUPT` if no sequence of batches can produce these marks. */
  check(offset: number): void {
    if (areMarksPossible(this.marks, this.grains)) return;
    for (let at = 0; at < grainsPerMarkPage; at++) {
      const mark = this.mark(at);
      const headless = mark === markContinues && (at === 0 || this.mark(at - 1) === markFree);
      if (headless || (at >= this.grains && mark !== markFree))
        throw corrupt(`the mark of grain ${this.firstIndex + at} is impossible`, { offset });
    }
  }
}
