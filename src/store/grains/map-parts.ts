/**
 * A grain map that gives way to others: one with the same grains in another place, or some that
 * leave out stretches of free grains. Their marks are those of the map.
 *
 * Pure.
 */

import { grainsPerMarkPage, marksBytes } from '../../format/layout.ts';
import { countMarks, markIn, setMark } from '../marks/packed-marks.ts';
import { GrainMap, newMapEntry } from './grain-map.ts';

/** A map with grains of another one, in one extent that begins with `page`. */
export interface MapPart {
  readonly firstIndex: number;
  readonly grains: number;
  readonly page: number;
}

/**
 * The new map, durable and not opened, the marks of each of its pages, and the latest stamp of the
 * pages of `old`. Requires: the marks of `old` are loaded.
 */
export function partOf(
  old: GrainMap,
  { firstIndex, grains, page }: MapPart,
): { readonly map: GrainMap; readonly marks: readonly Uint8Array[]; readonly stamp: number } {
  const marks: Uint8Array[] = [];
  let committed = 0;
  for (let from = 0; from < grains; from += grainsPerMarkPage) {
    const here = marksFrom(old, firstIndex + from, Math.min(grainsPerMarkPage, grains - from));
    committed += countMarks(here).committed;
    marks.push(here);
  }
  const entry = newMapEntry(firstIndex, { grains, page, further: [] }, grains - committed);
  const stamp = Math.max(...old.pages.map((one) => one.stamp));
  return { map: new GrainMap(entry, old.grainExp, true), marks, stamp };
}

/** The marks of `count` grains from the one with this index on. */
function marksFrom(old: GrainMap, index: number, count: number): Uint8Array {
  const marks = new Uint8Array(marksBytes);
  let page = old.pageOf(index);
  if (page.firstIndex === index && page.grains === count) {
    marks.set(page.marks);
    return marks;
  }
  for (let at = 0; at < count; at++) {
    if (index + at >= page.firstIndex + page.grains) page = old.pageOf(index + at);
    setMark(marks, at, markIn(page.marks, index + at - page.firstIndex));
  }
  return marks;
}
