/**
 * Salvages of damaged files: values that were not hit are there, with their bytes; nothing is there
 * that its id has never held; what is deleted stays deleted if the marks are left; what is lost is
 * reported.
 */

import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { GrainId, memoryFileSystem, Store, salvage } from '../../../src/index.ts';
import { headedLimits } from '../../support/fixtures/core-lab.ts';
import { Random } from '../../support/random.ts';
import { sourcePath } from '../backup/backup-ground.ts';
import {
  damaged,
  pageBytes,
  pageKinds,
  pagesOfValues,
  placesOf,
  withoutHeaders,
  withoutOldLog,
} from './damage.ts';
import {
  bytesOf,
  differences,
  diskWith,
  expectTrueBytes,
  type LifeSettings,
  type Salvaged,
  type Specimen,
  salvageBytes,
  specimenOf,
} from './salvage-ground.ts';

const mixed = [0, 1, 20, 90, 200, 511, 1500, 5000, 40_000];
const life: Omit<LifeSettings, 'seed' | 'end'> = { lengths: mixed, settleBytes: 3000, commits: 36 };
const lives = {
  'many lengths': life,
  'maps that move': { ...life, moves: true },
  'maps with a head': { ...life, limits: headedLimits },
  'many strata': { ...life, limits: { grainsPerStratum: 512, strataPerBasin: 3 } },
} as const;
const names = Object.keys(lives) as (keyof typeof lives)[];
const ends = ['closed', 'killed'] as const;
const cases = names.flatMap((name) => ends.map((end) => ({ name, end })));

/** A specimen in whose free pages no old log stands. */
async function withLessLog(settings: LifeSettings): Promise<Specimen> {
  const specimen = await specimenOf(settings);
  return { ...specimen, bytes: withoutOldLog(specimen.bytes) };
}

const nothing = { missing: [], other: [], extra: [] };

describe.each(cases)('of a $end store: $name', ({ name, end }) => {
  const settings = { ...lives[name], end };

  it('both copies of the header are gone', async () => {
    for (const seed of [1, 2]) {
      const specimen = await specimenOf({ ...settings, seed });
      const salvaged = await salvageBytes(withoutHeaders(specimen.bytes), specimen);
      expect(differences(specimen, salvaged)).toEqual(nothing);
      expect(salvaged.report.embeddedHeader).toBe(specimen.header);
      expect(salvaged.report).toMatchObject({ lostCount: 0, unlistedCount: 0 });
    }
  });

  it('values are hit: they alone are lost, and reported', async () => {
    const random = new Random(5);
    const specimen = await withLessLog({ ...settings, seed: 3 });
    const others = [...pageKinds(specimen.bytes).entries()].filter(([, kind]) => kind === 'other');
    const values = pagesOfValues(specimen.bytes, [...specimen.before, ...specimen.live]);
    for (let round = 0; round < 7; round++) {
      const pages = new Set<number>();
      for (let n = 0; n <= round; n++)
        pages.add(others[random.below(others.length)]?.[0] as number);
      const salvaged = await salvageBytes(damaged(specimen.bytes, pages, random), specimen);
      expectTrueBytes(specimen, salvaged);
      expectOnly(specimen, salvaged, (id) => [...pages].some((page) => values.get(id)?.has(page)));
    }
  });

  it('a structure is hit: every value is there', async () => {
    const random = new Random(6);
    const specimen = await withLessLog({ ...settings, seed: 4 });
    const kinds = pageKinds(specimen.bytes);
    for (const [page, kind] of kinds.entries()) {
      if (!['root', 'basn', 'map ', 'mark', 'header'].includes(kind)) continue;
      const salvaged = await salvageBytes(damaged(specimen.bytes, [page], random), specimen);
      expectTrueBytes(specimen, salvaged);
      const { missing, other } = differences(specimen, salvaged);
      if (missing.length + other.length > 0) throw new Error(`${kind} in page ${page}`);
      expect({ missing, other }).toEqual({ missing: [], other: [] });
    }
  });

  it('all mark pages and heads are gone: values are found by their checksums', async () => {
    const specimen = await specimenOf({ ...settings, seed: 5 });
    const kinds = pageKinds(specimen.bytes);
    const bytes = specimen.bytes.slice();
    for (const [page, kind] of kinds.entries()) {
      const isGone = kind === 'mark' || kind === 'map ' || (kind === 'log' && end === 'closed');
      if (!isGone) continue;
      bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
    }
    const salvaged = await salvageBytes(bytes, specimen);
    expectTrueBytes(specimen, salvaged);
    const { missing, other, extra } = differences(specimen, salvaged);
    expect(other).toEqual([]);
    for (const id of missing) expect(extra.some((one) => mayOverlap(one, id))).toBe(true);
    expect(missing.length).toBeLessThan(3);
    expect(salvaged.report.lostCount).toBe(0);
    if (end === 'closed') expect(salvaged.report.unlistedCount).toBeGreaterThan(0);
  });

  it('headers, root and basins are gone: maps are found by their marks', async () => {
    const specimen = await withLessLog({ ...settings, seed: 6 });
    const kinds = pageKinds(specimen.bytes);
    const bytes = withoutHeaders(specimen.bytes);
    for (const [page, kind] of kinds.entries()) {
      if (kind !== 'root' && kind !== 'basn') continue;
      bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
    }
    const salvaged = await salvageBytes(bytes, specimen);
    expectTrueBytes(specimen, salvaged);
    const { missing, other } = differences(specimen, salvaged);
    expect({ missing, other }).toEqual({ missing: [], other: [] });
  });
});

/**
 * Values that were hit are missing, no others. A killed store may have lost its last batch, which a
 * value of it that is hit takes back.
 */
function expectOnly(specimen: Specimen, salvaged: Salvaged, isHit: (id: GrainId) => boolean): void {
  const { report } = salvaged;
  const problems = [specimen.live, specimen.before].map((live) => {
    const { missing, other, extra } = differences({ live }, salvaged);
    const wrong = [...other, ...extra, ...missing.filter((id) => !isHit(id))];
    const isReported = report.lost.every(({ id }) => missing.includes(id));
    return wrong.length > 0 || !isReported || report.lostCount !== missing.length;
  });
  expect(problems).toContain(false);
  if (specimen.settings.end === 'closed') expect(problems[0]).toBe(false);
}

/**
 * True if the grains of a deleted value may reach into those of the other one: both are whole, if the
 * last bytes of the deleted one are by chance the first ones of the other's prefix.
 */
function mayOverlap(one: GrainId, other: GrainId): boolean {
  const [first, second] = [GrainId.parts(one), GrainId.parts(other)];
  const isSameStratum = first.basin === second.basin && first.stratum === second.stratum;
  return isSameStratum && first.index < second.index && second.index < first.index + 255;
}

describe('anything goes', () => {
  it.each(cases)('in a $end store: $name', async ({ name, end }) => {
    const random = new Random(8);
    const specimen = await withLessLog({ ...lives[name], end, seed: 7 });
    const pages = Math.floor(specimen.bytes.length / pageBytes);
    let salvaged = 0;
    for (let round = 0; round < 16; round++) {
      const hit = new Set<number>();
      const count = 1 + random.below(round < 8 ? 4 : pages);
      for (let n = 0; n < count; n++) hit.add(random.below(pages));
      let bytes = damaged(specimen.bytes, hit, random);
      if (random.chance(0.2)) bytes = bytes.slice(0, random.below(bytes.length));
      if (random.chance(0.2)) bytes = Buffer.concat([bytes, Buffer.alloc(100_001, 7)]);
      if (random.chance(0.3)) {
        const from = random.below(bytes.length + 1);
        bytes.fill(0, from, Math.min(bytes.length, from + random.below(bytes.length + 1)));
      }
      try {
        expectTrueBytes(specimen, await salvageBytes(bytes, specimen));
        salvaged += 1;
      } catch (error) {
        if (!isVarveError(error, 'VARVE_NOT_A_STORE')) throw error;
      }
    }
    expect(salvaged).toBeGreaterThan(8);
  });
});

describe('an embedded header', () => {
  it('whose value is lost is none in the copy', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(sourcePath, { fileSystem });
    const session = store.session();
    const large = new Uint8Array(70_000).fill(2);
    const header = session.push(large);
    session.setEmbeddedHeader(header);
    await session.commit();
    await store.close();
    const bytes = await bytesOf(fileSystem, sourcePath);
    const [at] = placesOf(bytes, header, large) as [number];
    bytes.fill(0xee, at, at + 8);
    const disk = await diskWith(bytes);
    const report = await salvage(sourcePath, 'target', { fileSystem: disk });
    expect(report).toMatchObject({ values: 0, lostCount: 1, embeddedHeader: undefined });
    expect(report.lost).toMatchObject([{ id: header, offset: at }]);
    const copy = await Store.open('target', { fileSystem: disk });
    expect(copy.embeddedHeader).toBe(undefined);
    await copy.close();
  });
});

describe('a last batch that was never acknowledged', () => {
  it('is taken back if one of its values is not there', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(sourcePath, { fileSystem });
    const first = await store.put(new Uint8Array(100).fill(1));
    const session = store.session();
    session.archive(first.id);
    const large = new Uint8Array(70_000).fill(2);
    const second = session.push(large);
    const third = session.push(new Uint8Array(60_000).fill(3));
    await session.commit();
    const bytes = await bytesOf(fileSystem, sourcePath);
    const [at] = placesOf(bytes, second, large) as [number];
    const isWhole = await salvaged(bytes);
    expect([first.id, second, third].map(isWhole)).toEqual([false, true, true]);
    bytes.fill(0, at + 1000, at + 2000);
    const isTorn = await salvaged(bytes);
    expect([first.id, second, third].map(isTorn)).toEqual([true, false, false]);
    await store.close();
    const closed = await bytesOf(fileSystem, sourcePath);
    closed.fill(0, at + 1000, at + 2000);
    const isLost = await salvaged(closed);
    expect([first.id, second, third].map(isLost)).toEqual([false, false, true]);
  });

  /** Which values there are after a salvage. */
  async function salvaged(bytes: Uint8Array): Promise<(id: GrainId) => boolean> {
    const fileSystem = await diskWith(bytes);
    await salvage(sourcePath, 'target', { fileSystem });
    const copy = await Store.open('target', { fileSystem });
    return (id) => copy.has(id);
  }
});

describe('two lives of one file', () => {
  it('are kept apart by the salt, with and without a header', async () => {
    const old = await specimenOf({ ...life, seed: 10, end: 'closed', commits: 80 });
    const now = await specimenOf({ ...life, seed: 11, end: 'closed', commits: 40 });
    const bytes = new Uint8Array(Math.max(old.bytes.length, now.bytes.length) + 20 * pageBytes);
    bytes.set(old.bytes.subarray(0, 60 * pageBytes), 0);
    bytes.set(now.bytes, 0);
    const behind = Math.ceil(now.bytes.length / pageBytes) * pageBytes;
    bytes.set(old.bytes.subarray(behind, bytes.length), behind);
    for (const file of [bytes, withoutHeaders(bytes)]) {
      const salvaged = await salvageBytes(file, now);
      expect(differences(now, salvaged)).toEqual(nothing);
    }
  });
});
