/**
 * One mark page in memory: the marks of its grains as of the last published batch, and a bitmap of
 * taken grains.
 *
 * Invariant: every committed grain is taken. A grain that is taken and not committed is reserved,
 * or set aside (`set-aside.ts`). A page that is not loaded knows only the entry in the head of its
 * map. It does not choose places of values (`grain-allocator.ts` does).
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
import { setBits, setRun } from './bit-runs.ts';
import { runLengthMax } from './length-buckets.ts';

const wordCount = Math.ceil(grainsPerMarkPage / 32);

/** The name of a page that was never written: all of its grains are free. */
export const unwrittenPage: MarkPageName = {
  generation: 0,
  crc: 0,
  free: grainsPerMarkPage,
  longestFree: runLengthMax,
};

/** A change of a value's marks, as the log names it. */
export type MarkChange = 'allocate' | 'archive' | 'free';

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

  /** A settle writes the page as of batch `stamp`. */
  sealedAs({ generation, crc }: { generation: number; crc: number }, stamp: number): void {
    assert(generation === this.nextGeneration, 'a mark page is written to the slot not named');
    if (checks.strict) assert(stamp >= this.stamp, 'the stamp of a page does not go back');
    this.name = { generation, crc, ...this.measure() };
    this.stamp = stamp;
    this.#damaged = false;
  }

  /** Drops marks that turned out to be impossible. */
  forget(): void {
    this.#marks = undefined;
    this.#taken = undefined;
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
  recount(): { values: number; archived: number; committed: number; taken: number } {
    let values = 0;
    let archived = 0;
    let committed = 0;
    for (const byte of this.marks) {
      if (byte === 0) continue;
      committed += 4 - (fourFree[byte] as number);
      values += fourValues[byte] as number;
      archived += fourArchived[byte] as number;
    }
    const taken = setBits(this.taken) - (wordCount * 32 - this.grains);
    return { values, archived, committed, taken };
  }

  /** Free grains, and the longest run of them (up to 256), as committed. */
  measure(): { free: number; longestFree: number } {
    const { marks } = this;
    const whole = this.grains >>> 2;
    let free = 0;
    let run = 0;
    let longest = 0;
    for (let at = 0; at < whole; at++) {
      const byte = marks[at] as number;
      if (byte === 0) {
        const end = endOfZeros(marks, at, whole);
        run += 4 * (end - at);
        free += 4 * (end - at);
        at = end - 1;
        continue;
      }
      longest = Math.max(longest, run + (freeBefore[byte] as number), freeWithin[byte] as number);
      run = freeAfter[byte] as number;
      free += fourFree[byte] as number;
    }
    for (let at = whole * 4; at < this.grains; at++) {
      const isFree = markIn(marks, at) === markFree;
      longest = Math.max(longest, run);
      run = isFree ? run + 1 : 0;
      if (isFree) free += 1;
    }
    return { free, longestFree: Math.min(Math.max(longest, run), runLengthMax) };
  }

  /** Throws `VARVE_CORRUPT` if no sequence of batches can produce these marks. */
  check(offset: number): void {
    if (this.#isSound()) return;
    for (let at = 0; at < grainsPerMarkPage; at++) {
      const mark = this.mark(at);
      const headless = mark === markContinues && (at === 0 || this.mark(at - 1) === markFree);
      if (headless || (at >= this.grains && mark !== markFree))
        throw corrupt(`the mark of grain ${this.firstIndex + at} is impossible`, { offset });
    }
  }

  /** Checks four marks at a time, since it runs for every loaded page. */
  #isSound(): boolean {
    const marks = this.marks;
    let before = endsFree;
    for (let at = 0; at < marks.length; at++) {
      const four = fourSound[marks[at] as number] as number;
      if ((four & broken) !== 0) return false;
      if ((four & startsContinued) !== 0 && (before & endsFree) !== 0) return false;
      before = four;
    }
    const end = this.grains >>> 2;
    for (let at = this.grains; at < (end + 1) * 4 && at < grainsPerMarkPage; at++) {
      if (this.mark(at) !== markFree) return false;
    }
    for (let at = end + 1; at < marks.length; at++) if (marks[at] !== 0) return false;
    return true;
  }
}

function markIn(marks: Uint8Array, at: number): number {
  return ((marks[at >>> 2] as number) >>> ((at & 3) * 2)) & 3;
}

function setMark(marks: Uint8Array, at: number, mark: number): void {
  const shift = (at & 3) * 2;
  marks[at >>> 2] = ((marks[at >>> 2] as number) & ~(3 << shift)) | (mark << shift);
}

/** A byte of four marks that are alike, for each mark. */
const fourAlike = 0x55;

/** True if every mark from `from` up to `to` is this one. Whole bytes are looked at as such. */
function isRun(marks: Uint8Array, from: number, to: number, mark: number): boolean {
  for (let at = from; at < to; ) {
    const isWhole = (at & 3) === 0 && at + 4 <= to;
    const found = isWhole ? (marks[at >>> 2] as number) : markIn(marks, at);
    if (found !== (isWhole ? mark * fourAlike : mark)) return false;
    at += isWhole ? 4 : 1;
  }
  return true;
}

/** The first byte from `from` up to `to` that is not 0; a native search in the last, empty part. */
function endOfZeros(marks: Uint8Array, from: number, to: number): number {
  let end = from;
  while (end < to && marks[end] === 0) end += 1;
  return end;
}

function fillRun(marks: Uint8Array, from: number, to: number, mark: number): void {
  const wholeFrom = Math.min(to, (from + 3) & ~3);
  const wholeTo = Math.max(wholeFrom, to & ~3);
  for (let at = from; at < wholeFrom; at++) setMark(marks, at, mark);
  marks.fill(mark * fourAlike, wholeFrom >>> 2, wholeTo >>> 2);
  for (let at = wholeTo; at < to; at++) setMark(marks, at, mark);
}

/**
 * For each byte of four marks: flags that its neighbours need, and whether the marks are possible.
 */
const startsContinued = 1;
const endsFree = 2;
const broken = 4;
const fourSound = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const marks = [0, 2, 4, 6].map((shift) => (byte >>> shift) & 3);
  const headless = (mark: number, at: number): boolean =>
    at > 0 && mark === markContinues && marks[at - 1] === markFree;
  fourSound[byte] =
    (marks[0] === markContinues ? startsContinued : 0) |
    (marks[3] === markFree ? endsFree : 0) |
    (marks.some(headless) ? broken : 0);
}

/**
 * For each byte of four marks: a bit for each that is not free, the numbers of free grains, of
 * values and of archived ones, and the lengths of the free runs at its start, longest in it, and at
 * its end.
 */
const fourTaken = new Uint8Array(256);
const fourFree = new Uint8Array(256);
const fourValues = new Uint8Array(256);
const fourArchived = new Uint8Array(256);
const freeBefore = new Uint8Array(256);
const freeWithin = new Uint8Array(256);
const freeAfter = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const marks = [0, 2, 4, 6].map((shift) => (byte >>> shift) & 3);
  const isFree = marks.map((mark) => mark === markFree);
  fourArchived[byte] = marks.filter((mark) => mark === markArchived).length;
  fourValues[byte] = marks.filter((mark) => mark >= markValue).length;
  const runs = isFree
    .map((free) => (free ? 'f' : ' '))
    .join('')
    .split(' ')
    .map(({ length }) => length);
  for (const [grain, free] of isFree.entries()) {
    if (free) fourFree[byte] = (fourFree[byte] as number) + 1;
    else fourTaken[byte] = (fourTaken[byte] as number) | (1 << grain);
  }
  freeBefore[byte] = runs[0] ?? 0;
  freeWithin[byte] = Math.max(...runs);
  freeAfter[byte] = runs.at(-1) ?? 0;
}

/** Bitmap of the grains that are not free; grains after the end of the page count as taken. */
function takenBits(marks: Uint8Array | undefined, grains: number): Uint32Array {
  const words = new Uint32Array(wordCount);
  for (let at = 0; marks !== undefined && at < marksBytes; at++) {
    const four = fourTaken[marks[at] as number] as number;
    const word = at >>> 3;
    words[word] = (words[word] as number) | (four << ((at & 7) * 4));
  }
  setRun(words, grains, wordCount * 32 - grains);
  return words;
}
