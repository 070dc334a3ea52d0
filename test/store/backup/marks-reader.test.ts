/**
 * Marks of a stratum whose maps are dropped, or replaced by others with the same grains, while they
 * are read: each value that stays is seen once.
 */

import { describe, expect, it } from 'vitest';
import {
  grainsPerMarkPage,
  markContinues,
  marksBytes,
  markValue,
} from '../../../src/format/layout.ts';
import { MarksReader, visitLive } from '../../../src/store/backup/live-marks.ts';
import type { FileReader } from '../../../src/store/file/file-reader.ts';
import { GrainMap, newMapEntry } from '../../../src/store/grains/grain-map.ts';
import type { Stratum } from '../../../src/store/grains/stratum.ts';
import { setMark } from '../../../src/store/marks/packed-marks.ts';

const values = [10, 9000, 16_000, 16_256, 20_000, 32_500, 32_520, 48_700, 48_768, 60_000];

/** A map from `firstIndex` up to `end`, with the marks of the values in it: two grains each. */
function mapOf(firstIndex: number, end: number): GrainMap {
  const place = { grains: end - firstIndex, page: 0, further: [] };
  const map = new GrainMap(newMapEntry(firstIndex, place), 5, true);
  map.open(undefined);
  for (const page of map.pages) {
    const marks = new Uint8Array(marksBytes);
    for (const value of values) {
      const at = value - page.firstIndex;
      if (at < 0 || at >= page.grains) continue;
      setMark(marks, at, markValue);
      setMark(marks, at + 1, markContinues);
    }
    page.load(marks, 1);
  }
  return map;
}

/** The values seen, if the maps are others after `after` pages. */
function seen(before: GrainMap[], after: number, then: GrainMap[]): number[] {
  const stratum = { maps: before } as unknown as Stratum & { maps: readonly GrainMap[] };
  const reading = new MarksReader({} as FileReader, stratum, 70_000);
  const found: number[] = [];
  for (let page = 1; ; page++) {
    const marks = reading.next();
    if (marks === undefined) return found;
    visitLive(marks, undefined, (index) => found.push(index));
    if (page === after) Object.defineProperty(stratum, 'maps', { value: then });
  }
}

const whole = [mapOf(0, 4 * grainsPerMarkPage)];
const inParts = [
  mapOf(10, 9002),
  mapOf(16_000, 20_002),
  mapOf(32_500, 48_770),
  mapOf(60_000, 60_002),
];

describe('marks that are read', () => {
  it.each([1, 2, 3, 4])('show each value once if a map is replaced after page %i', (after) => {
    expect(seen(whole, after, inParts)).toEqual(values);
    expect(seen(inParts, after, whole)).toEqual(values);
  });

  it('end before the maps that are left out, and pass those that are dropped', () => {
    expect(seen([...whole, mapOf(70_000, 70_100)], 9, whole)).toEqual(values);
    expect(seen(inParts, 1, [inParts[0], inParts[3]] as GrainMap[])).toEqual([10, 9000, 60_000]);
  });
});
