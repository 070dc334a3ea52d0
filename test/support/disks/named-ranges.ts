/**
 * What must stay as it is on a disk: everything that one of the two copies of the file header relies
 * on. The root, basins, map heads and mark pages that it names, each in the slot that it names, and
 * every record after its checkpoint.
 *
 * Reads what is durable, and nothing else; values are not among it.
 */

import { decodeBasin, type MapEntry } from '../../../src/format/basin.ts';
import { type DocumentName, openDocument, slotPage } from '../../../src/format/document.ts';
import { decodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import {
  decodeMapHead,
  hasHead,
  mapHeadPage,
  markPagePage,
} from '../../../src/format/grain-map.ts';
import {
  headerCopies,
  kindBasin,
  kindRoot,
  pageBytes,
  sectorBytes,
  sectorsPerPage,
} from '../../../src/format/layout.ts';
import { decodeLogSector, decodeRecordHead } from '../../../src/format/log-sector.ts';
import { decodeRoot, type Root } from '../../../src/format/root.ts';
import type { DiskImage } from './disk-image.ts';

/** A stretch of the file, and what is there. */
export interface NamedRange {
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

/** The header in each copy; undefined where there is none. */
export function headersOf(durable: DiskImage): (FileHeader | undefined)[] {
  return Array.from({ length: headerCopies }, (_, copy) => {
    const found = decodeFileHeader(bytesAt(durable, copy * pageBytes, sectorBytes), 0);
    return found.state === 'valid' ? found.header : undefined;
  });
}

/** Everything that `header` relies on. Throws where it is not there. */
export function* namedBy(durable: DiskImage, header: FileHeader): Generator<NamedRange> {
  let root: Root = { embeddedHeader: 0n, basins: [], segments: [], bodies: [] };
  if (header.root.generation > 0) {
    yield rangeOf(header.root, 'the root');
    root = decodeRoot(document(durable, header, kindRoot, header.root), 0);
  }
  for (const name of root.basins) {
    if (name.generation === 0) continue;
    yield rangeOf(name, 'a basin');
    const { strata } = decodeBasin(document(durable, header, kindBasin, name), 0);
    for (const { maps } of strata) {
      for (const map of maps) if (map.generation > 0) yield* marksOf(durable, header, map);
    }
  }
  const segments = new Map<number, number>();
  for (const { page, pages } of [...root.segments, ...header.segments]) segments.set(page, pages);
  for (const [page, pages] of segments) yield* recordsIn(durable, header, { page, pages });
  for (const { page, pages, batch } of root.bodies) {
    if (batch > header.checkpoint) yield pagesAt(page, pages, `the body of batch ${batch}`);
  }
}

function bytesAt(durable: DiskImage, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  durable.read(bytes, offset);
  return bytes;
}

function pagesAt(page: number, pages: number, what: string): NamedRange {
  return { from: page * pageBytes, to: (page + pages) * pageBytes, what };
}

function rangeOf(name: DocumentName, what: string): NamedRange {
  const from = slotPage(name.page, name.capacityPages, name.generation) * pageBytes;
  return { from, to: from + name.length, what };
}

function document(
  durable: DiskImage,
  { salt }: FileHeader,
  kind: number,
  name: DocumentName,
): Uint8Array {
  const { from, to } = rangeOf(name, '');
  const bytes = bytesAt(durable, from, to - from);
  openDocument(bytes, kind, name, salt);
  return bytes;
}

function* marksOf(durable: DiskImage, { salt }: FileHeader, map: MapEntry): Generator<NamedRange> {
  if (!hasHead(map.grains)) {
    yield pagesAt(markPagePage(map, 0, map.generation), 1, 'a mark page');
    return;
  }
  const page = mapHeadPage(map.page, map.generation);
  yield pagesAt(page, 1, 'the head of a map');
  const { generation, crc } = map;
  const bytes = bytesAt(durable, page * pageBytes, pageBytes);
  const { pages } = decodeMapHead(bytes, { page, generation, crc }, salt);
  for (const [ordinal, name] of pages.entries()) {
    if (name.generation === 0) continue;
    yield pagesAt(markPagePage(map, ordinal, name.generation), 1, 'a mark page');
  }
}

function* recordsIn(
  durable: DiskImage,
  { salt, checkpoint }: FileHeader,
  { page, pages }: { page: number; pages: number },
): Generator<NamedRange> {
  const bytes = bytesAt(durable, page * pageBytes, pages * pageBytes);
  for (let at = 0; at < pages * sectorsPerPage; at++) {
    const from = page * pageBytes + at * sectorBytes;
    const sector = bytes.subarray(at * sectorBytes, (at + 1) * sectorBytes);
    const found = decodeLogSector(sector, from / sectorBytes, salt);
    if (typeof found === 'string' || found.batch <= checkpoint) continue;
    const what = `the record of batch ${found.batch}`;
    yield { from, to: from + sectorBytes, what };
    const extent = found.ordinal > 0 ? undefined : decodeRecordHead(found.payload)?.extent;
    if (extent !== undefined) yield pagesAt(extent.page, extent.pages, `the body of ${what}`);
  }
}
