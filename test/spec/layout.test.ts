/**
 * The byte tables and numbers of `spec/format.md` against the code: every structure is encoded with
 * values that differ, and read back by what the tables say, field by field.
 *
 * Invariant: a table has a field for each byte, and the code has no number of the layout that the
 * spec leaves out. What the prose of the spec says in words is not held here.
 */

import { describe, expect, it } from 'vitest';
import { rowsAfter } from '../../scripts/spec-tables.ts';
import { encodeBasin } from '../../src/format/basin.ts';
import { type DocumentName, encodeDocumentName, sealDocument } from '../../src/format/document.ts';
import { encodeFileHeader } from '../../src/format/file-header.ts';
import { GrainId, setGrainId } from '../../src/format/grain-id.ts';
import {
  encodeMapHead,
  encodeMarkPage,
  type MapOwner,
  mapHeadPage,
  mapOverheadPages,
  markPagePage,
} from '../../src/format/grain-map.ts';
import * as layout from '../../src/format/layout.ts';
import { encodeRoot } from '../../src/format/root.ts';
import { sealBytesOf } from '../../src/format/seal.ts';
import { encodeValuePrefix, valueCrc } from '../../src/format/value.ts';
import { crc32 } from '../../src/util/crc.ts';
import { ByteWriter } from '../../src/util/cursor.ts';
import { patternOf } from '../support/bytes.ts';
import { next } from './distinct-numbers.ts';
import { hex, type Read, readPart, readWhole, spec, tables, uint } from './table-reader.ts';

const salt = patternOf(layout.saltBytes, 3);
const saltStart = uint(salt, 0, 4);

function documentName(): { name: DocumentName; read: Read } {
  const [page, capacityPages, generation] = [next(6), next(4), next(4)];
  const [length, crc] = [next(4), next(4)];
  const name = { page, capacityPages, generation, length, crc };
  const read = { page, 'capacity pages': capacityPages, generation, length, crc };
  return { name, read };
}

function mapOwner(): { owner: MapOwner; read: Read } {
  const [basin, stratum] = [next(1) % 250, next(1) % 250];
  const [firstIndex, grains, grainExp] = [next(6), next(4), next(1)];
  const owner = { basin, stratum, firstIndex, grains, grainExp };
  const id = { index: firstIndex, 'stratum from 1': stratum + 1, 'basin from 1': basin + 1 };
  return { owner, read: { 'first grain': id, grains, 'grain exponent': grainExp } };
}

/** A seal as the tables tell it; with the CRC that the spec describes. */
function sealOf(bytes: Uint8Array, kind: number, seal: Record<string, number>): Read {
  const crc = crc32(bytes.subarray(8));
  return { kind, crc, length: bytes.length, 'salt start': saltStart, ...seal };
}

describe('the numbers in the spec', () => {
  const lines = spec.split('\n');
  const rows = rowsAfter(lines, lines.indexOf('## Numbers'));

  it('are those of the code, all of them', () => {
    const told = rows.map(([name = '', value = '']) => [name, numberTold(value)]);
    const { magic, ...numbers } = layout;
    expect(Object.fromEntries(told)).toEqual(numbers);
    expect(told.length).toBe(Object.keys(numbers).length);
    const inTable = magic.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    expect(spec).toContain(`\`${inTable}\``);
  });

  function numberTold(text: string): number {
    const [base = '', power] = text.split('^');
    return power === undefined ? Number(text) : Number(base) ** Number(power);
  }

  it('give the tables their lengths', () => {
    const lengths = Object.fromEntries([...tables].map(([name, { bytes }]) => [name, bytes]));
    expect(lengths).toEqual({
      'file header': layout.sectorBytes,
      'segment extent': layout.headerSegmentBytes,
      seal: layout.sealBytes,
      'document name': layout.documentNameBytes,
      root: 52,
      'retained segment': 16,
      'retained body': 16,
      basin: 36,
      stratum: 38,
      'map entry': 32,
      'map extent': 10,
      'map head': layout.sealBytes + layout.mapOwnerBytes,
      'mark page name': layout.markPageNameBytes,
      'mark page': layout.pageBytes,
      grainid: 8,
      value: layout.valuePrefixBytes,
      'log sector': layout.sectorBytes,
      'record head': layout.recordHeadBytes,
      'record body': 32,
      'map part': 16,
    });
  });

  it('are the sums of the fields of each table', () => {
    for (const { name, bytes, fields } of tables.values()) {
      let end = 0;
      for (const field of fields) {
        if (field.each || field.sizeField !== undefined) {
          // The caption counts up to the lists, but for what has a length of its own.
          if (bytes !== layout.sectorBytes) expect(end, name).toBe(bytes);
          break;
        }
        expect(field.offset, `${name}: ${field.name}`).toBe(end);
        end += field.size ?? 0;
      }
    }
  });
});

describe('the byte tables of the spec', () => {
  it('have the file header as it is written', () => {
    const root = documentName();
    const segments = [
      { page: next(6), pages: next(4) },
      { page: next(6), pages: next(4) },
    ];
    const header = {
      salt,
      generation: next(6),
      epoch: next(4),
      clean: true,
      base: next(6),
      confirmed: next(6),
      checkpoint: next(6),
      embeddedHeader: GrainId.of(7, 9, 0x0102_0304_0506),
      root: root.name,
      retainedLogBytes: next(6),
      laneSectors: [next(6), next(6)] as const,
      segments,
    };
    const bytes = encodeFileHeader(header);
    expect(readWhole('file header', bytes)).toEqual({
      magic: hex(Uint8Array.from(layout.magic)),
      version: layout.formatVersion,
      flags: layout.knownFlags,
      salt: hex(salt),
      generation: header.generation,
      epoch: header.epoch,
      clean: 1,
      base: header.base,
      confirmed: header.confirmed,
      checkpoint: header.checkpoint,
      'embedded header': { index: 0x0102_0304_0506, 'stratum from 1': 10, 'basin from 1': 8 },
      root: root.read,
      'retained log bytes': header.retainedLogBytes,
      'even lane sector': header.laneSectors[0],
      'odd lane sector': header.laneSectors[1],
      'segment count': 2,
      segments,
      crc: crc32(bytes.subarray(0, 508)),
    });
  });

  it('have a seal as it is written', () => {
    const bytes = patternOf(100);
    const seal = { kind: next(4), generation: next(4), length: 90, stamp: next(6), page: next(6) };
    sealBytesOf(bytes, seal, salt);
    const crc = crc32(bytes.subarray(8, 90));
    expect(readPart('seal', bytes, 0)).toEqual({ ...seal, crc, 'salt start': saltStart });
  });

  it('have the name of a document as it is written', () => {
    const writer = new ByteWriter();
    const { name, read } = documentName();
    encodeDocumentName(writer, name);
    expect(readWhole('document name', writer.view())).toEqual(read);
  });

  it('have the root as it is written', () => {
    const basins = [documentName(), documentName()];
    const segments = [{ page: next(6), pages: next(4), firstBatch: next(6) }];
    const bodies = [{ page: next(6), pages: next(4), batch: next(6) }];
    const { owner, read } = mapOwner();
    const { basin, stratum, firstIndex } = owner;
    const embeddedHeader = GrainId.of(basin, stratum, firstIndex);
    const names = basins.map(({ name }) => name);
    const bytes = encodeRoot({ embeddedHeader, basins: names, segments, bodies });
    const place = { kind: layout.kindRoot, page: 10, capacityPages: 3, generation: 5, stamp: 4 };
    sealDocument(bytes, place, salt);
    expect(readWhole('root', bytes)).toEqual({
      seal: sealOf(bytes, layout.kindRoot, { generation: 5, stamp: 4, page: 13 }),
      'basin count': 2,
      'segment count': 1,
      'body count': 1,
      'embedded header': read['first grain'],
      basins: basins.map(({ read }) => read),
      segments: segments.map(({ firstBatch, ...rest }) => ({ ...rest, 'first batch': firstBatch })),
      bodies,
    });
  });

  it('have a basin as it is written', () => {
    const map = {
      firstIndex: next(6),
      grains: next(4),
      page: next(6),
      further: [
        { page: next(6), pages: next(4) },
        { page: next(6), pages: next(4) },
      ],
      generation: next(4),
      crc: next(4),
      free: next(4),
      longestFree: next(2),
    };
    const whole = { ...map, further: [], page: next(6) };
    const stratum = {
      grainExp: next(1),
      values: next(6),
      archivedValues: next(6),
      valueBytes: next(6),
      allocatedGrains: next(6),
      endIndex: next(6),
      maps: [map, whole],
    };
    const bytes = encodeBasin({ strata: [stratum] });
    const place = { kind: layout.kindBasin, page: 10, capacityPages: 3, generation: 6, stamp: 4 };
    sealDocument(bytes, place, salt);
    const told = ({ firstIndex, longestFree, further, ...entry }: typeof map): Read => ({
      'first index': firstIndex,
      'longest free': longestFree,
      'further extent count': further.length,
      'further extents': further,
      ...entry,
    });
    expect(readWhole('basin', bytes)).toEqual({
      seal: sealOf(bytes, layout.kindBasin, { generation: 6, stamp: 4, page: 10 }),
      'stratum count': 1,
      strata: [
        {
          'grain exponent': stratum.grainExp,
          'map count': 2,
          values: stratum.values,
          'archived values': stratum.archivedValues,
          'value bytes': stratum.valueBytes,
          'allocated grains': stratum.allocatedGrains,
          'end index': stratum.endIndex,
          maps: [told(map), told(whole)],
        },
      ],
    });
  });

  it('have the head of a grain map as it is written', () => {
    const page = { generation: next(4), crc: next(4), free: next(2), longestFree: next(2) };
    const { owner, read } = mapOwner();
    const head = { owner, pages: [page] };
    const place = { page: next(6), generation: next(4), stamp: next(6) };
    const { bytes, crc } = encodeMapHead(head, place, salt);
    const seal = sealOf(bytes, layout.kindMap, place);
    expect(seal['crc']).toBe(crc);
    const { longestFree, ...name } = page;
    expect(readWhole('map head', bytes)).toEqual({
      seal,
      ...read,
      'mark page count': 1,
      'mark pages': [{ 'longest free': longestFree, ...name }],
    });
  });

  it('have a mark page as it is written', () => {
    const marks = patternOf(layout.marksBytes);
    const place = { page: next(6), generation: next(4), stamp: next(6) };
    const { owner, read } = mapOwner();
    const { bytes } = encodeMarkPage({ owner, ordinal: 7, marks }, place, salt);
    const seal = sealOf(bytes, layout.kindMarks, place);
    expect(readWhole('mark page', bytes)).toEqual({
      seal,
      ...read,
      ordinal: 7,
      marks: hex(marks),
    });
  });

  it('have the slots of a grain map at the right pages', () => {
    expect([mapHeadPage(100, 4), mapHeadPage(100, 5)]).toEqual([100, 101]);
    const headed = { page: 100, grains: layout.grainsPerMarkPage * 3 + 1 };
    expect([markPagePage(headed, 3, 4), markPagePage(headed, 3, 5)]).toEqual([108, 109]);
    const single = { page: 100, grains: layout.grainsPerMarkPage };
    expect([markPagePage(single, 0, 4), markPagePage(single, 0, 5)]).toEqual([100, 101]);
    const most = layout.grainsPerMarkPage;
    expect([mapOverheadPages(most), mapOverheadPages(most + 1)]).toEqual([2, 6]);
  });

  it('have a GrainId as it stands in the file', () => {
    const bytes = new Uint8Array(8);
    const id = { basin: 3, stratum: 253, index: 0x0605_0403_0201 };
    setGrainId(bytes, 0, id);
    expect(hex(bytes)).toBe('010203040506fe04');
    expect(readWhole('grainid', bytes)).toEqual({
      index: id.index,
      'stratum from 1': 254,
      'basin from 1': 4,
    });
    const asNumber = GrainId.of(id.basin, id.stratum, id.index);
    expect(asNumber).toBe(Buffer.from(bytes).readBigUInt64LE());
  });

  it('have a value as it is written, with the CRC that the spec describes', () => {
    const id = { basin: 3, stratum: 5, index: 0x0605_0403_0201 };
    const data = patternOf(300);
    const bytes = new Uint8Array(308);
    encodeValuePrefix(bytes, data.length, valueCrc(id, data));
    bytes.set(data, 8);
    const covered = new Uint8Array(8 + 4 + 300);
    setGrainId(covered, 0, id);
    covered.set(bytes.subarray(0, 4), 8);
    covered.set(data, 12);
    expect(readWhole('value', bytes)).toEqual({
      length: 300,
      crc: crc32(covered),
      bytes: hex(data),
    });
  });

  it('have the CRC that the spec names', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf4_3926);
    expect(spec).toContain('0xCBF43926');
  });
});
