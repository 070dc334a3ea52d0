/**
 * The marks of one mark page while they are worked out, and what the log says of its values.
 *
 * Invariants:
 * - The marks are those of the newest page that was found, for each range of grains, with the
 *   records after its stamp applied. Records may be missing, so an operation need not fit: a newer
 *   value takes the place of whatever it overlaps.
 * - Where no page is left that is known to be the newest, only what the last records say is known,
 *   those that no missing one follows. The other grains are unlisted.
 */

import {
  grainsPerMarkPage,
  markArchived,
  markContinues,
  markFree,
  marksBytes,
  markValue,
} from '../../format/layout.ts';
import type { GrainRun } from '../../format/log-record.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import { fillRun, markIn, setMark } from '../marks/packed-marks.ts';
import type { RecordPlace } from './found-records.ts';

/** The newest record of a value, and what it says of it. */
export interface LoggedValue {
  readonly place: RecordPlace;
  readonly count: number;
  readonly length: number;
  readonly crc: number;
  readonly isCarried: boolean;
}

/** Grains that have their marks from one place. */
interface Segment {
  readonly from: number;
  readonly to: number;
  /** The batch as of which it has their marks. */
  readonly stamp: number;
  /** False: nothing is known but what the log says. */
  readonly isKnown: boolean;
}

export class WorkingPage {
  readonly map: GrainMap;
  /** Index in the stratum of its first grain. */
  readonly firstIndex: number;
  readonly grains: number;
  readonly marks = new Uint8Array(marksBytes);
  /** By the first grain, counted from the start of the page. */
  readonly logged = new Map<number, LoggedValue>();
  /** Records from this batch on are all there. */
  readonly #completeFrom: number;
  #segments: Segment[];
  /** A byte for each grain that the log has spoken of; only if some are not known. */
  #spoken: Uint8Array | undefined;

  constructor(map: GrainMap, ordinal: number, completeFrom: number) {
    const start = ordinal * grainsPerMarkPage;
    this.map = map;
    this.#completeFrom = completeFrom;
    this.firstIndex = map.firstIndex + start;
    this.grains = Math.min(grainsPerMarkPage, map.grains - start);
    this.#segments = [{ from: 0, to: this.grains, stamp: 0, isKnown: false }];
  }

  /** Takes marks for grains of the page: those of `marks` from mark `at` on. */
  take(segment: Segment, marks: Uint8Array, at: number): void {
    const { from, to } = segment;
    const others = this.#segments.flatMap((one) =>
      [
        { ...one, to: Math.min(one.to, from) },
        { ...one, from: Math.max(one.from, to) },
      ].filter((rest) => rest.from < rest.to),
    );
    this.#segments = [...others, segment].sort((one, other) => one.from - other.from);
    if (from === 0 && at === 0 && to === this.grains) this.marks.set(marks);
    else for (let n = from; n < to; n++) setMark(this.marks, n, markIn(marks, at + n - from));
  }

  /** All marks have been taken: forgets those of grains that are not known. */
  begin(): void {
    for (const { from, to, isKnown } of this.#segments) {
      if (isKnown) continue;
      this.#spoken ??= new Uint8Array(this.grains);
      fillRun(this.marks, from, to, markFree);
    }
    // Marks of two places may not fit together.
    let before = markFree;
    for (let at = 0; at < this.grains; at++) {
      let mark = markIn(this.marks, at);
      if (mark === markContinues && before === markFree) {
        mark = markFree;
        setMark(this.marks, at, mark);
      }
      before = mark;
    }
    // No grain is spoken of yet, but those of known segments.
    for (const { from, to, isKnown } of this.#segments) {
      if (isKnown) this.#spoken?.fill(1, from, to);
    }
  }

  /** Some grains are not known: values are to be looked for. */
  get hasUnlisted(): boolean {
    return this.#spoken !== undefined;
  }

  /** Neither marks nor records say anything of these grains. */
  isUnlisted(at: number, count: number): boolean {
    const spoken = this.#spoken;
    if (spoken === undefined || at + count > this.grains) return false;
    for (let n = at; n < at + count; n++) if (spoken[n] !== 0) return false;
    return true;
  }

  // ── the log, in the order of its batches ──

  allocate(run: GrainRun, batch: number): void {
    const at = run.index - this.firstIndex;
    const to = at + run.count;
    if (!this.#changes(at, to, batch)) return;
    this.#clear(at, to);
    setMark(this.marks, at, markValue);
    fillRun(this.marks, at + 1, to, markContinues);
  }

  archive(run: GrainRun, batch: number): void {
    const at = run.index - this.firstIndex;
    const to = at + run.count;
    if (!this.#changes(at, to, batch)) return;
    this.#clear(at, to);
    setMark(this.marks, at, markArchived);
    fillRun(this.marks, at + 1, to, markContinues);
  }

  free(run: GrainRun, batch: number): void {
    const at = run.index - this.firstIndex;
    if (this.#changes(at, at + run.count, batch)) this.#clear(at, at + run.count);
  }

  /** True if the marks of these grains are older than the batch. */
  #changes(from: number, to: number, batch: number): boolean {
    if (from < 0 || to > this.grains) return false;
    const segment = this.#segments.find((one) => from < one.to);
    if (segment === undefined) return false;
    // Without marks, an earlier record says nothing: one that is missing may have used the grains.
    const since = segment.isKnown ? segment.stamp + 1 : this.#completeFrom;
    if (batch < since) return false;
    this.#spoken?.fill(1, from, to);
    return true;
  }

  /** Frees the grains, and every value that has one of them. */
  #clear(from: number, to: number): void {
    let start = from;
    while (start > 0 && markIn(this.marks, start) === markContinues) start -= 1;
    let end = to;
    while (end < this.grains && markIn(this.marks, end) === markContinues) end += 1;
    fillRun(this.marks, start, end, markFree);
  }

  /** The grains of a value that are not copied. */
  drop(at: number, count: number): void {
    fillRun(this.marks, at, at + count, markFree);
  }

  /** A value whose bytes are lost: its grains keep a mark, so that no map of the copy has them. */
  lose(at: number): void {
    setMark(this.marks, at, markArchived);
  }

  /** An unlisted value was found. */
  list(at: number, count: number): void {
    setMark(this.marks, at, markValue);
    fillRun(this.marks, at + 1, at + count, markContinues);
  }
}
