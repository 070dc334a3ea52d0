/**
 * The numbers of the format: what has to fit into what. A change that breaks one of these breaks
 * files, so each relation stands here once, whatever the numbers are.
 */

import { expect, it } from 'vitest';
import * as layout from '../../src/format/layout.ts';

it('a page holds whole sectors, and is small enough for an offset in a u16', () => {
  expect(layout.pageBytes % layout.sectorBytes).toBe(0);
  expect(layout.sectorsPerPage * layout.sectorBytes).toBe(layout.pageBytes);
  expect(layout.pageBytes).toBeLessThanOrEqual(0x1_0000);
});

it('a file header with every segment that it can list ends before its checksum', () => {
  const end = layout.headerSegmentsOffset + layout.headerSegmentsMax * layout.headerSegmentBytes;
  expect(end).toBeLessThanOrEqual(layout.headerCrcOffset);
  expect(layout.headerCrcOffset + 4).toBe(layout.sectorBytes);
});

it('the head of a map with every mark page that it can have fits into a page, tightly', () => {
  const head = layout.sealBytes + layout.mapOwnerBytes;
  const used = head + layout.markPagesMax * layout.markPageNameBytes;
  expect(used).toBeLessThanOrEqual(layout.pageBytes);
  expect(used + layout.markPageNameBytes).toBeGreaterThan(layout.pageBytes);
});

it('the further extents of a map are counted by a u8, and an entry with all of them is short', () => {
  expect(layout.furtherExtentsMax).toBeLessThanOrEqual(0xff);
  expect(32 + layout.furtherExtentsMax * 10).toBeLessThan(layout.sectorBytes);
});

it('marks fill a page, and their count fits the u16 that a head has for it', () => {
  expect(layout.marksOffset + layout.marksBytes).toBe(layout.pageBytes);
  expect(layout.grainsPerMarkPage).toBe(layout.marksBytes * layout.grainsPerMarkByte);
  expect(layout.grainsPerMarkPage).toBeLessThanOrEqual(0xffff);
  expect(layout.grainsPerMarkPage).toBeGreaterThan(layout.grainsPerValueMax);
});

it('the two lanes of a segment of any size begin on a page of their own', () => {
  for (let pages = layout.segmentPagesMin; pages <= layout.segmentPagesMax; pages *= 2) {
    expect(pages % layout.lanesPerSegment).toBe(0);
  }
});

it('the largest record that a lane takes fits the smallest lane', () => {
  const lane = (layout.segmentPagesMin * layout.sectorsPerPage) / layout.lanesPerSegment;
  expect(layout.inlineSectorsMax).toBeLessThanOrEqual(lane);
  expect(layout.logSectorHeadBytes + layout.recordHeadBytes).toBeLessThan(layout.sectorBytes);
});

it('the largest value takes at most 255 of the largest grains', () => {
  const bytes = layout.grainsPerValueMax * 2 ** layout.grainExpMax;
  expect(bytes).toBeGreaterThanOrEqual(layout.valueBytesMax + layout.valuePrefixBytes);
  expect((layout.grainExpMax - layout.grainExpMin) % layout.grainExpStep).toBe(0);
});

it('a new store has room for its first structures and is a small file', () => {
  const used = layout.firstSegmentPage + layout.segmentPagesMin + 2;
  expect(used).toBeLessThanOrEqual(layout.newStorePages);
  expect(layout.newStorePages * layout.pageBytes).toBeLessThanOrEqual(256 * 1024);
});

it('the kinds of seals are four letters each, all different', () => {
  const kinds = [layout.kindRoot, layout.kindBasin, layout.kindMap, layout.kindMarks];
  const letters = kinds.map((kind) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(kind);
    return bytes.toString('latin1').trim();
  });
  expect(letters).toEqual(['root', 'basn', 'map', 'mark']);
});
