/**
 * Goes over the values in the marks of a page, from its first grain to its last.
 *
 * Invariant: it stops at the start of each value, live or archived, once. Free grains are passed
 * four at a time. Nothing is allocated for a value. Requires: the marks are possible
 * (`areMarksPossible`).
 */

import { markContinues, markFree } from '../../format/layout.ts';
import { markIn } from './packed-marks.ts';

export class MarkScan {
  readonly #marks: Uint8Array;
  readonly #grains: number;
  #end = 0;
  /** The value's first grain in the page, its mark and its number of grains. */
  at = 0;
  mark = markFree;
  count = 0;

  constructor(marks: Uint8Array, grains: number) {
    this.#marks = marks;
    this.#grains = grains;
  }

  /** Goes to the next value; false if there is none. */
  next(): boolean {
    const marks = this.#marks;
    const grains = this.#grains;
    let at = this.#end;
    while (at < grains) {
      if ((at & 3) === 0 && marks[at >>> 2] === 0) at += 4;
      else if (markIn(marks, at) === markFree) at += 1;
      else break;
    }
    if (at >= grains) return false;
    let end = at + 1;
    while (end < grains && markIn(marks, end) === markContinues) end += 1;
    this.at = at;
    this.mark = markIn(marks, at);
    this.count = end - at;
    this.#end = end;
    return true;
  }
}
