/**
 * Verification bites: one fault at a time is put into a sound store, in memory or in its file, and
 * each is found, with its place where it has one.
 */

import { beforeEach, describe, expect, it } from 'vitest';
import { decodeFileHeader, encodeFileHeader } from '../../../src/format/file-header.ts';
import { GrainId, joinGrainId } from '../../../src/format/grain-id.ts';
import { hasHead, mapHeadPage, markPagePage } from '../../../src/format/grain-map.ts';
import { grainsPerMarkPage, sectorBytes } from '../../../src/format/layout.ts';
import { encodeValuePrefix, valueCrc } from '../../../src/format/value.ts';
import type { FileSystem } from '../../../src/io/file-system.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { GrainMap, newMapEntry } from '../../../src/store/grains/grain-map.ts';
import type { Stratum } from '../../../src/store/grains/stratum.ts';
import { clearRun, setRun } from '../../../src/store/marks/bit-runs.ts';
import type { MarkPage } from '../../../src/store/marks/mark-page.ts';
import { patternOf } from '../../support/bytes.ts';
import { addMapTo, type CoreLab, headedGrains, openLab } from '../../support/fixtures/core-lab.ts';

const lengths = [0, 10, 500, 3000, 40, 40, 40];

let fileSystem: FileSystem;
let lab: CoreLab;
let ids: GrainId[];
let stratum: Stratum;
let map: GrainMap;
let page: MarkPage;

/** A store that was settled and closed, and then written to: some of it is in the log only. */
beforeEach(async () => {
  fileSystem = memoryFileSystem();
  lab = await openLab({ fileSystem });
  const session = lab.session();
  ids = lengths.map((length) => session.push(patternOf(length)));
  await session.commit();
  await lab.close();
  lab = await openLab({ fileSystem });
  const later = lab.session();
  later.archive(ids[1] as GrainId);
  ids.push(later.push(patternOf(5000)));
  await later.commit();
  stratum = lab.core.atlas.stratum(0, 0) as Stratum;
  map = stratum.maps[0] as GrainMap;
  page = [...stratum.pagesOf(map)][0] as MarkPage;
  expect(await lab.findings()).toEqual([]);
});

function indexOf(value: number): number {
  return GrainId.parts(ids[value] as GrainId).index;
}

/** A grain after everything that is in use. */
function freeIndex(): number {
  return Math.max(...ids.map((_, value) => indexOf(value))) + 200;
}

async function expectFound(message: RegExp, place: { offset?: number; grainId?: bigint } = {}) {
  const found = await lab.findings();
  const said = found.map((one) => one.message);
  expect(said).toContainEqual(expect.stringMatching(message));
  expect(found.find((one) => message.test(one.message))).toMatchObject(place);
}

function flipByte(offset: number): void {
  const byte = new Uint8Array(1);
  lab.file.readSync(byte, offset);
  lab.file.writeSync([byte.map((old) => old ^ 0x10)], offset);
}

describe('a fault in the marks is found', () => {
  it('if a value is marked that was not committed', async () => {
    page.apply('allocate', freeIndex(), 2);
    await expectFound(/^grains in use in the map at grain 0: /);
    await expectFound(/^grains in use of stratum 0-0: /);
    await expectFound(/^values of stratum 0-0: 8 are counted, 9 are there$/);
    await expectFound(/checksum/, { grainId: joinGrainId(0, 0, freeIndex()) });
  });

  it('if a committed value has lost its marks', async () => {
    const at = indexOf(2);
    const count = page.countAt(at);
    for (const change of ['archive', 'free'] as const) page.apply(change, at, count);
    await expectFound(/^grains in use of stratum 0-0: \d+ are counted, \d+ are there$/);
    await expectFound(/^values of stratum 0-0: 8 are counted, 7 are there$/);
    await expectFound(/neither free nor in use/, { grainId: ids[2] as bigint });
  });

  it('if a grain in use is not marked as taken', async () => {
    clearRun(page.taken, indexOf(3) + 1, 1);
    const grainId = joinGrainId(0, 0, indexOf(3) + 1);
    await expectFound(/a grain in use is not marked as taken/, { grainId });
  });

  it('if a grain is reserved by no session, unless a session is open', async () => {
    setRun(page.taken, freeIndex(), 1);
    const grainId = joinGrainId(0, 0, freeIndex());
    await expectFound(/neither free nor in use/, { grainId });
    const session = lab.session();
    expect(await lab.findings()).toEqual([]);
    session.abandon();
  });

  it('if a value is archived that no batch archived', async () => {
    page.apply('archive', indexOf(4), page.countAt(indexOf(4)));
    await expectFound(/^archived values of stratum 0-0: 1 are counted, 2 are there$/);
  });

  it('if a value that a batch archived is not archived', async () => {
    const at = indexOf(1);
    const count = page.countAt(at);
    for (const change of ['free', 'allocate'] as const) page.apply(change, at, count);
    await expectFound(/batch 2 archived a value that is not archived/, {
      grainId: ids[1] as bigint,
    });
  });

  it('if a value has more grains than any can', async () => {
    page.apply('allocate', freeIndex(), 256);
    const grainId = joinGrainId(0, 0, freeIndex());
    await expectFound(/more than 255 grains/, { grainId });
  });

  it('if marks are impossible', async () => {
    const at = freeIndex() + 50;
    page.marks[at >>> 2] = 1 << ((at & 3) * 2);
    await expectFound(/the mark of grain \d+ is impossible/);
  });
});

describe('a counter that is wrong is found', () => {
  it.each([
    ['values', /^values of/],
    ['archivedValues', /^archived values of/],
    ['allocatedGrains', /^grains in use of/],
    ['totalGrains', /^grains of/],
    ['valueBytes', /^bytes of/],
  ] as const)('of the %s of a stratum', async (counter, message) => {
    Object.defineProperty(stratum, counter, { value: stratum[counter] + 1 });
    await expectFound(message);
  });

  it('of the grains in use of a map', async () => {
    map.countCommitted(-1);
    await expectFound(/^grains in use in the map at grain 0/);
  });

  it('of the bytes of the commit log', async () => {
    lab.core.log.passed(0, 512);
    await expectFound(/^bytes of the commit log/);
  });
});

describe('a fault in a value is found', () => {
  it('if a byte of it has changed, with its id and place', async () => {
    for (const value of [0, 3, 7]) {
      const offset = stratum.offsetOf(indexOf(value));
      flipByte(offset + 4);
      await expectFound(/a value fails its checksum/, { offset, grainId: ids[value] as bigint });
      expect((await lab.findings()).length).toBe(1);
      expect(await lab.findings(false)).toEqual([]);
      flipByte(offset + 4);
    }
  });

  it('if it is longer than its grains, or than the file', async () => {
    const offset = stratum.offsetOf(indexOf(2));
    flipByte(offset + 3);
    await expectFound(/does not fit its grains or the file/, { offset, grainId: ids[2] as bigint });
    flipByte(offset + 3);
    lab.file.truncateSync(stratum.offsetOf(indexOf(7)) + 100);
    await expectFound(/does not fit its grains or the file/, { grainId: ids[7] as bigint });
  });

  it('if fewer grains would hold it', async () => {
    const offset = stratum.offsetOf(indexOf(3));
    const bytes = patternOf(100);
    const prefix = new Uint8Array(8);
    const id = { basin: 0, stratum: 0, index: indexOf(3) };
    encodeValuePrefix(prefix, bytes.length, valueCrc(id, bytes));
    lab.file.writeSync([prefix, bytes], offset);
    await expectFound(/a value of 100 bytes has 94 grains/, { grainId: ids[3] as bigint });
  });
});

it('a mark page in memory that is not as on the disk is found', async () => {
  await lab.close();
  const again = await openLab({ fileSystem });
  const [known] = again.core.atlas.stratum(0, 0)?.maps ?? [];
  if (known === undefined) throw new Error('the store has a map');
  const [loaded] = again.core.atlas.stratum(0, 0)?.pagesOf(known) ?? [];
  expect(await again.findings()).toEqual([]);
  // A whole value goes from the marks, and every count with it: only the disk still has it.
  loaded?.marks.fill(0xff, 4000, 4001);
  const said = (await again.findings(false)).map(({ message }) => message);
  expect(said).toContain('a mark page in memory differs from the disk');
  await again.kill();
});

describe('a fault in the space is found', () => {
  it('if pages have been lost', async () => {
    lab.core.space.allocate(3);
    await expectFound(/^(3 pages are neither free nor in use|space ends at page)/);
  });

  it('if a page in use is free', async () => {
    lab.core.space.free(map.page + 2, 1);
    await expectFound(/a page in use is free/, { offset: (map.page + 2) * 4096 });
  });

  it('if two structures share a page', async () => {
    lab.core.atlas.leaving.add({ page: map.page + 1, pages: 1 });
    await expectFound(/two structures share a page/, { offset: (map.page + 1) * 4096 });
  });

  it('if two maps of a stratum share grains', async () => {
    const pages = 30;
    const at = lab.core.space.allocate(pages);
    const placement = { grains: 100, page: at, further: [] };
    const other = new GrainMap(newMapEntry(map.grains - 1, placement), 5, false);
    other.open(undefined);
    (stratum.maps as GrainMap[]).push(other);
    await expectFound(/two grain maps of a stratum overlap/);
  });
});

describe('a fault in the structures on the disk is found', () => {
  it.each([0, 1])('if copy %d of the file header is damaged, or gone', async (copy) => {
    const offset = copy * 4096;
    flipByte(offset + 100);
    await expectFound(new RegExp(`^copy ${copy} of the file header is damaged$`), { offset });
    lab.file.writeSync([new Uint8Array(sectorBytes)], offset);
    await expectFound(new RegExp(`^copy ${copy} of the file header is blank$`), { offset });
  });

  it('if a header confirms a batch that is not there', async () => {
    const sector = new Uint8Array(sectorBytes);
    lab.file.readSync(sector, 4096);
    const found = decodeFileHeader(sector, 4096);
    if (found.state !== 'valid') throw new Error('the header is sound');
    lab.file.writeSync([encodeFileHeader({ ...found.header, confirmed: 99 })], 4096);
    await expectFound(/confirms batch 99, which does not exist/, { offset: 4096 });
  });

  it('if the root or a basin is damaged', async () => {
    const { root } = lab.core.headers.content.settled;
    for (const name of [root, lab.core.atlas.basins[0]?.name ?? root]) {
      const offset = (name.page + (name.generation % 2) * name.capacityPages) * 4096;
      flipByte(offset + 40);
      await expectFound(/checksum/, { offset });
      flipByte(offset + 40);
    }
    expect(await lab.findings()).toEqual([]);
  });

  async function expectFoundAt(pages: number[]): Promise<void> {
    for (const at of pages) {
      flipByte(at * 4096 + 200);
      await expectFound(/checksum/, { offset: at * 4096 });
      flipByte(at * 4096 + 200);
    }
    expect(await lab.findings()).toEqual([]);
  }

  it('if the mark page of a map that has no head is damaged', async () => {
    expect(hasHead(map.grains)).toBe(false);
    await expectFoundAt([markPagePage(map, 0, page.name.generation)]);
  });

  it('if the head of a map or one of its mark pages is damaged', async () => {
    const fileSystem = memoryFileSystem();
    lab = await openLab({ fileSystem });
    addMapTo(lab.core, { grains: headedGrains });
    const session = lab.session();
    // More grains than a mark page has, so that both are written.
    for (let count = 0; count < 70; count++) session.push(patternOf(8000));
    for (let count = 0; count < 300; count++) session.push(patternOf(200));
    await session.commit();
    await lab.close();
    lab = await openLab({ fileSystem });
    const headed = lab.core.atlas.stratum(0, 0)?.maps[0] as GrainMap;
    expect([hasHead(headed.grains), headed.committedGrains > grainsPerMarkPage]).toEqual([
      true,
      true,
    ]);
    const home = lab.core.atlas.stratum(0, 0) as Stratum;
    const marks = Array.from(home.pagesOf(headed), ({ ordinal, name }) =>
      markPagePage(headed, ordinal, name.generation),
    );
    expect(marks.length).toBe(2);
    await expectFoundAt([mapHeadPage(headed.page, headed.name.generation), ...marks]);
  });

  it('if a record of the retained log is damaged', async () => {
    const [segment] = lab.core.log.segments;
    const lane = (batch: number): number => ((segment?.page ?? 0) + (batch % 2) * 8) * 4096;
    flipByte(lane(2) + 60);
    await expectFound(/batch 2/);
    flipByte(lane(2) + 60);
    flipByte(lane(1) + 60);
    await expectFound(/batch 1/);
  });
});

it('a verification of a busy store takes nothing in flight for a fault', async () => {
  const session = lab.session();
  session.push(patternOf(100));
  session.archive(ids[4] as GrainId);
  expect(await lab.findings()).toEqual([]);
  const committing = session.commit();
  expect(await lab.findings()).toEqual([]);
  await committing;
  expect(await lab.findings()).toEqual([]);
});

it('a creation that was cut before copy 1 of the file header has no fault', async () => {
  const made = memoryFileSystem();
  const first = await openLab({ fileSystem: made });
  first.file.writeSync([new Uint8Array(sectorBytes)], 4096);
  await first.kill();
  const reader = await openLab({ fileSystem: made, readOnly: true });
  expect(reader.core.recovery.healed).toEqual([]);
  expect(await reader.findings()).toEqual([]);
  await reader.kill();
});
