/**
 * The marks of a page as they are packed, four to a byte: read, written, counted and compared,
 * mostly a byte at a time.
 *
 * It knows the marks of single grains and runs, not what they are of (`mark-page.ts`).
 */

import {
  grainsPerMarkPage,
  markArchived,
  markContinues,
  markFree,
  marksBytes,
  markValue,
} from '../../format/layout.ts';
import { setBits, setRun } from './bit-runs.ts';
import { runLengthMax } from './length-buckets.ts';

const wordCount = Math.ceil(grainsPerMarkPage / 32);

/** Bytes of the bitmap of a page's taken grains. */
export const takenBytes = wordCount * 4;

export function markIn(marks: Uint8Array, at: number): number {
  return ((marks[at >>> 2] as number) >>> ((at & 3) * 2)) & 3;
}

export function setMark(marks: Uint8Array, at: number, mark: number): void {
  const shift = (at & 3) * 2;
  marks[at >>> 2] = ((marks[at >>> 2] as number) & ~(3 << shift)) | (mark << shift);
}

/** A byte of four marks that are alike, for each mark. */
const fourAlike = 0x55;

/** True if every mark from `from` up to `to` is this one. Whole bytes are looked at as such. */
export function isRun(marks: Uint8Array, from: number, to: number, mark: number): boolean {
  for (let at = from; at < to; ) {
    const isWhole = (at & 3) === 0 && at + 4 <= to;
    const found = isWhole ? (marks[at >>> 2] as number) : markIn(marks, at);
    if (found !== (isWhole ? mark * fourAlike : mark)) return false;
    at += isWhole ? 4 : 1;
  }
  return true;
}

export function fillRun(marks: Uint8Array, from: number, to: number, mark: number): void {
  const wholeFrom = Math.min(to, (from + 3) & ~3);
  const wholeTo = Math.max(wholeFrom, to & ~3);
  for (let at = from; at < wholeFrom; at++) setMark(marks, at, mark);
  marks.fill(mark * fourAlike, wholeFrom >>> 2, wholeTo >>> 2);
  for (let at = wholeTo; at < to; at++) setMark(marks, at, mark);
}

/**
 * Bitmap of the grains that are not free; grains after the end of the page count as taken. Without
 * marks all grains are free.
 */
export function takenBits(marks: Uint8Array | undefined, grains: number): Uint32Array {
  const words = new Uint32Array(wordCount);
  for (let at = 0; marks !== undefined && at < marksBytes; at++) {
    const four = fourTaken[marks[at] as number] as number;
    const word = at >>> 3;
    words[word] = (words[word] as number) | (four << ((at & 7) * 4));
  }
  setRun(words, grains, wordCount * 32 - grains);
  return words;
}

/** True if `takenBits` of the marks are these: no grain is taken that is not committed. */
export function isTakenBits(words: Uint32Array, marks: Uint8Array, grains: number): boolean {
  for (let word = 0; word < wordCount; word++) {
    let bits = 0;
    for (let at = 0; at < 8; at++) {
      bits |= (fourTaken[marks[word * 8 + at] ?? 0] as number) << (at * 4);
    }
    const left = grains - word * 32;
    if (left < 32) bits |= left <= 0 ? -1 : -1 << left;
    if (((words[word] as number) ^ bits) !== 0) return false;
  }
  return true;
}

/** Grains that are taken, of the first `grains`. */
export function takenCount(words: Uint32Array, grains: number): number {
  return setBits(words) - (wordCount * 32 - grains);
}

/** Values, archived ones and committed grains. */
export function countMarks(marks: Uint8Array): {
  values: number;
  archived: number;
  committed: number;
} {
  let values = 0;
  let archived = 0;
  let committed = 0;
  for (const byte of marks) {
    if (byte === 0) continue;
    committed += 4 - (fourFree[byte] as number);
    values += fourValues[byte] as number;
    archived += fourArchived[byte] as number;
  }
  return { values, archived, committed };
}

/** Free grains, and the longest run of them (up to 256). */
export function measureMarks(
  marks: Uint8Array,
  grains: number,
): { free: number; longestFree: number } {
  const whole = grains >>> 2;
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
  for (let at = whole * 4; at < grains; at++) {
    const isFree = markIn(marks, at) === markFree;
    longest = Math.max(longest, run);
    run = isFree ? run + 1 : 0;
    if (isFree) free += 1;
  }
  return { free, longestFree: Math.min(Math.max(longest, run), runLengthMax) };
}

/** The first byte from `from` up to `to` that is not 0. */
function endOfZeros(marks: Uint8Array, from: number, to: number): number {
  let end = from;
  while (end < to && marks[end] === 0) end += 1;
  return end;
}

/** True if a sequence of batches can produce the marks: four are checked at a time. */
export function areMarksPossible(marks: Uint8Array, grains: number): boolean {
  let before = endsFree;
  for (let at = 0; at < marks.length; at++) {
    const four = fourSound[marks[at] as number] as number;
    if ((four & broken) !== 0) return false;
    if ((four & startsContinued) !== 0 && (before & endsFree) !== 0) return false;
    before = four;
  }
  const end = grains >>> 2;
  for (let at = grains; at < (end + 1) * 4 && at < grainsPerMarkPage; at++) {
    if (markIn(marks, at) !== markFree) return false;
  }
  for (let at = end + 1; at < marks.length; at++) if (marks[at] !== 0) return false;
  return true;
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
