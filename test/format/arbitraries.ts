/**
 * Arbitrary structures of the format, as any sound store may hold them, and the checks that every
 * decoder is put to: any bytes give a structure or a VarveError, and a flipped bit is noticed.
 *
 * Invariant: what an arbitrary makes, its encoder takes. Numbers lean towards the ends of their
 * ranges. Nothing here knows a byte layout.
 */

import fc from 'fast-check';
import { expect } from 'vitest';
import { VarveError } from '../../src/errors.ts';
import type { Basin, MapEntry, StratumEntry } from '../../src/format/basin.ts';
import type { DocumentName } from '../../src/format/document.ts';
import type { FileHeader } from '../../src/format/file-header.ts';
import type { MapHead, MapOwner } from '../../src/format/grain-map.ts';
import {
  type MapExtent,
  mapOverheadPages,
  mapPages,
  markPageCount,
} from '../../src/format/grain-map.ts';
import {
  basinsMax,
  furtherExtentsMax,
  grainExpMax,
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  grainsPerValueMax,
  headerSegmentsMax,
  markPagesMax,
  pageBytes,
  saltBytes,
  sealBytes,
  strataMax,
} from '../../src/format/layout.ts';
import type { GrainRun, LogOperation, RecordPreamble } from '../../src/format/log-record.ts';
import type { Root } from '../../src/format/root.ts';
import { valueCrc } from '../../src/format/value.ts';
import { patternOf } from '../support/bytes.ts';

/** Integers from 0, often the first, the last or a small one. */
export function upTo(max: number): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: 0, max }),
    fc.integer({ min: 0, max: Math.min(max, 20) }),
    fc.constantFrom(0, max),
  );
}

const u16: fc.Arbitrary<number> = upTo(0xffff);
export const u32: fc.Arbitrary<number> = upTo(0xffff_ffff);
export const u48: fc.Arbitrary<number> = upTo(2 ** 48 - 1);
export const u64: fc.Arbitrary<bigint> = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** Pages of a segment: two lanes of whole pages. */
const segmentPages: fc.Arbitrary<number> = upTo(0x7fff_fffe).map((half) => 2 * (half + 1));
export const salt: fc.Arbitrary<Uint8Array> = fc.uint8Array({
  minLength: saltBytes,
  maxLength: saltBytes,
});

export const documentName: fc.Arbitrary<DocumentName> = fc
  .record({ page: u48, capacityPages: upTo(0xfffff), generation: u32, crc: u32, fill: u32 })
  .map(({ fill, ...name }) => {
    const capacityPages =
      name.generation > 0 ? Math.max(1, name.capacityPages) : name.capacityPages;
    const most = Math.min(capacityPages * pageBytes, 0xffff_ffff);
    const least = name.generation > 0 ? sealBytes : 0;
    return { ...name, capacityPages, length: Math.min(most, Math.max(least, fill)) };
  });

export const root: fc.Arbitrary<Root> = fc.record({
  embeddedHeader: u64,
  basins: fc.array(documentName, { maxLength: 8 }),
  segments: fc.array(fc.record({ page: u48, pages: segmentPages, firstBatch: u48 }), {
    maxLength: 8,
  }),
  bodies: fc.array(fc.record({ page: u48, pages: u32, batch: u48 }), { maxLength: 8 }),
});

const mapGrainsMax = markPagesMax * grainsPerMarkPage;

/** Extents of any size, as a record may have them before anybody looks whether they fit. */
const extents: fc.Arbitrary<MapExtent[]> = fc.oneof(
  fc.constant<MapExtent[]>([]),
  fc.array(fc.record({ page: u48, pages: upTo(0xffff_ffff) }), { maxLength: furtherExtentsMax }),
);

/** As many of these extents as a map has room for behind its first page of grains, cut to size. */
function within(grains: number, grainExp: number, wanted: readonly MapExtent[]): MapExtent[] {
  let room = mapPages(grains, grainExp) - mapOverheadPages(grains) - 1;
  const further: MapExtent[] = [];
  for (const { page, pages } of wanted) {
    if (room === 0) break;
    further.push({ page, pages: Math.min(room, Math.max(1, pages)) });
    room -= Math.min(room, Math.max(1, pages));
  }
  return further;
}

/** Maps one after another, with gaps, none reaching into the next; extents of any size. */
const maps: fc.Arbitrary<MapEntry[]> = fc
  .array(
    fc.record({
      gap: upTo(100_000),
      grains: fc.oneof(upTo(mapGrainsMax - 1), upTo(grainsPerMarkPage)).map((grains) => grains + 1),
      page: u48,
      further: extents,
      generation: u32,
      crc: u32,
      free: u32,
      longestFree: upTo(256),
    }),
    { maxLength: 6 },
  )
  .map((entries) => {
    let end = 0;
    return entries.map(({ gap, ...map }) => {
      const firstIndex = end + gap;
      end = firstIndex + map.grains;
      return { firstIndex, ...map, free: Math.min(map.free, map.grains) };
    });
  });

const stratum: fc.Arbitrary<StratumEntry> = fc
  .record({
    grainExp: fc.integer({ min: grainExpMin, max: grainExpMax }),
    values: u48,
    archivedValues: u48,
    valueBytes: u48,
    allocatedGrains: u48,
    beyond: upTo(1_000_000),
    maps,
  })
  .map(({ beyond, maps: wanted, ...entry }) => {
    const last = wanted.at(-1);
    const end = last === undefined ? 0 : last.firstIndex + last.grains;
    const placed = wanted.map((map) => {
      return { ...map, further: within(map.grains, entry.grainExp, map.further) };
    });
    return { ...entry, endIndex: end + beyond, maps: placed };
  });

export const basin: fc.Arbitrary<Basin> = fc.record({
  strata: fc.array(stratum, { maxLength: 6 }),
});

export const fileHeader: fc.Arbitrary<FileHeader> = fc.record({
  salt,
  generation: u48,
  epoch: u32,
  clean: fc.boolean(),
  base: u48,
  confirmed: u48,
  checkpoint: u48,
  embeddedHeader: u64,
  root: documentName,
  retainedLogBytes: u48,
  laneSectors: fc.tuple(u48, u48),
  segments: fc.array(fc.record({ page: u48, pages: segmentPages }), {
    minLength: 1,
    maxLength: headerSegmentsMax,
    size: 'max',
  }),
});

const markPageName = fc.record({ generation: u32, crc: u32, free: u16, longestFree: upTo(256) });

export const mapOwner: fc.Arbitrary<MapOwner> = fc.record({
  basin: upTo(basinsMax - 1),
  stratum: upTo(strataMax - 1),
  firstIndex: u48,
  grains: u32,
  grainExp: upTo(255),
});

export const mapHead: fc.Arbitrary<MapHead> = fc
  .record({
    owner: mapOwner,
    grains: fc.oneof(upTo(10 * grainsPerMarkPage), upTo(mapGrainsMax - 1)).map((n) => n + 1),
    name: markPageName,
  })
  .map(({ owner, grains, name }) => ({
    owner: { ...owner, grains },
    pages: Array.from({ length: markPageCount(grains) }, (_, at) => ({
      ...name,
      free: (name.free + at) % 0x1_0000,
    })),
  }));

// ── log records ──

export const preamble: fc.Arbitrary<RecordPreamble> = fc.record({
  batch: u48,
  committedAt: u48,
  embeddedHeader: u64,
  checkpoint: u48,
  retainedLogBytes: u48,
});

const place = { basin: upTo(basinsMax - 1), stratum: upTo(strataMax - 1) };

/** Runs that are often neighbours, often alike, and rarely in another stratum. */
const runs: fc.Arbitrary<GrainRun[]> = fc
  .array(
    fc.record({
      ...place,
      stays: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
      adjoins: fc.boolean(),
      alike: fc.boolean(),
      index: upTo(grainIndexLimit - grainsPerValueMax),
      count: upTo(grainsPerValueMax - 1).map((count) => count + 1),
      length: u32,
    }),
    { maxLength: 40 },
  )
  .map((wanted) => {
    const made: GrainRun[] = [];
    for (const { stays, adjoins, alike, ...run } of wanted) {
      const last = made.at(-1);
      const near = last !== undefined && stays ? { basin: last.basin, stratum: last.stratum } : {};
      const like = last !== undefined && alike ? { count: last.count, length: last.length } : {};
      const next = last === undefined ? 0 : last.index + last.count;
      const index = adjoins && next + grainsPerValueMax <= grainIndexLimit ? next : run.index;
      made.push({ ...run, ...near, ...like, index });
    }
    return made;
  });

const structure: fc.Arbitrary<LogOperation> = fc.oneof(
  fc.record({ operation: fc.constant('add-basin' as const), basin: place.basin }),
  fc.record({ operation: fc.constant('add-stratum' as const), ...place, grainExp: upTo(0xff) }),
  fc.record({
    operation: fc.constant('add-map' as const),
    ...place,
    firstIndex: u48,
    grains: u32,
    page: u48,
    further: extents,
  }),
  fc.record({ operation: fc.constant('drop-map' as const), ...place, firstIndex: u48 }),
  fc.record({
    operation: fc.constant('replace-map' as const),
    ...place,
    firstIndex: u48,
    parts: fc.array(fc.record({ firstIndex: u48, grains: u32, page: u48 }), { maxLength: 5 }),
  }),
);

/** An allocation of which the record has the bytes, and so the CRC too. */
function carried(run: GrainRun): LogOperation {
  const bytes = patternOf(run.length, run.index % 100);
  return { operation: 'allocate', ...run, crc: valueCrc(run, bytes), bytes };
}

/** Operations of a record, structures and values mixed. */
export const operations: fc.Arbitrary<LogOperation[]> = fc
  .record({
    runs,
    structures: fc.array(fc.tuple(fc.nat(40), structure), { maxLength: 8 }),
    kinds: fc.array(fc.constantFrom('allocate', 'carry', 'archive', 'free'), {
      minLength: 40,
      maxLength: 40,
    }),
    crc: u32,
  })
  .map(({ runs: chosen, structures, kinds, crc }) => {
    const list: LogOperation[] = chosen.map((run, at): LogOperation => {
      const operation = kinds[at] as 'allocate' | 'carry' | 'archive' | 'free';
      if (operation === 'carry') return carried({ ...run, length: run.length % 100 });
      return operation === 'allocate' ? { operation, ...run, crc } : { operation, ...run };
    });
    for (const [at, added] of structures) list.splice(at, 0, added);
    return list;
  });

// ── checks ──

/** The call gives something, or throws a VarveError with `VARVE_CORRUPT`. */
export function expectSoundOrCorrupt(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(error).toBeInstanceOf(VarveError);
    expect((error as VarveError).code).toBe('VARVE_CORRUPT');
  }
}

export function expectCorrupt(decode: () => unknown): void {
  expect(decode).toThrow(expect.objectContaining({ name: 'VarveError', code: 'VARVE_CORRUPT' }));
}

/** A copy with one bit turned over. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  const at = (bit >>> 3) % bytes.length;
  copy[at] = (copy[at] as number) ^ (1 << (bit & 7));
  return copy;
}
