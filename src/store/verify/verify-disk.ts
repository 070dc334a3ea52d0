/**
 * Verifies the structures on the disk: both header copies, and all that the durable root names,
 * read again as the next open would.
 *
 * It reads no values. Throws `VARVE_CORRUPT` for damage that stops the walk.
 */

import { decodeBasin, type MapEntry } from '../../format/basin.ts';
import { type DocumentName, openDocument, slotPage } from '../../format/document.ts';
import { decodeFileHeader, type HeaderCopy, isNotWrittenYet } from '../../format/file-header.ts';
import {
  decodeMapHead,
  hasHead,
  mapHeadPage,
  markPagePage,
  openMarkPage,
} from '../../format/grain-map.ts';
import {
  grainsPerMarkPage,
  headerCopies,
  kindBasin,
  kindRoot,
  pageBytes,
  sealBytes,
  sectorBytes,
} from '../../format/layout.ts';
import { decodeRoot } from '../../format/root.ts';
import { compareBytes } from '../../util/bytes.ts';
import { MarkPage } from '../marks/mark-page.ts';
import type { StoreCore } from '../state/core.ts';
import type { Report } from './finding.ts';
import { isAtRest } from './verify-space.ts';

export function* verifyDisk(core: StoreCore, report: Report): Generator<void> {
  for (let copy = 0; copy < headerCopies; copy++) verifyHeader(core, copy, report);
  const rootName = core.headers.content.settled.root;
  if (rootName.generation === 0) return;
  const root = documentBytes(core, kindRoot, rootName);
  for (const name of decodeRoot(root.bytes, root.offset).basins) {
    if (name.generation === 0) continue;
    const { bytes, offset } = documentBytes(core, kindBasin, name);
    for (const stratum of decodeBasin(bytes, offset).strata) {
      for (const map of stratum.maps) {
        if (map.generation > 0) yield* verifyMap(core, map, report);
      }
    }
  }
}

function verifyHeader(core: StoreCore, copy: number, report: Report): void {
  const offset = copy * pageBytes;
  const found = headerCopyIn(core, copy);
  if (found.state !== 'valid') {
    const first = found.state === 'blank' ? headerCopyIn(core, 0) : undefined;
    if (first?.state === 'valid' && isNotWrittenYet(copy, first.header)) return;
    report(`copy ${copy} of the file header is ${found.state}`, offset);
    return;
  }
  const { confirmed } = found.header;
  if (core.readOnly || confirmed <= core.published.currentBatch) return;
  const what = `copy ${copy} of the file header confirms batch ${confirmed}`;
  report(`${what}, which does not exist`, offset);
}

function headerCopyIn(core: StoreCore, copy: number): HeaderCopy {
  const offset = copy * pageBytes;
  return decodeFileHeader(core.reader.bytes(offset, sectorBytes), offset);
}

function documentBytes(
  core: StoreCore,
  kind: number,
  name: DocumentName,
): { bytes: Uint8Array; offset: number } {
  const offset = slotPage(name.page, name.capacityPages, name.generation) * pageBytes;
  const bytes = core.reader.bytes(offset, name.length);
  openDocument(bytes, kind, name, core.reader.salt);
  return { bytes, offset };
}

function* verifyMap(core: StoreCore, map: MapEntry, report: Report): Generator<void> {
  const { reader } = core;
  if (!hasHead(map.grains)) {
    openMarks(core, map, 0, map);
    yield;
    return;
  }
  const page = mapHeadPage(map.page, map.generation);
  const head = decodeMapHead(reader.readPage(page), { ...map, page }, reader.salt);
  for (const [ordinal, name] of head.pages.entries()) {
    if (name.generation === 0) continue;
    const { at, bytes, stamp } = openMarks(core, map, ordinal, name);
    const start = ordinal * grainsPerMarkPage;
    const grains = Math.min(grainsPerMarkPage, map.grains - start);
    const marks = new MarkPage({ ordinal, firstIndex: map.firstIndex + start, grains }, name);
    marks.load(bytes.subarray(sealBytes), stamp);
    yield;
    const { free } = marks.measure();
    if (free === name.free) continue;
    report(`a mark page has ${free} free grains, its map says ${name.free}`, at * pageBytes);
  }
}

/** Compares unchanged mark pages in memory with the disk. */
export function* verifyLoaded(core: StoreCore, report: Report): Generator<void> {
  if (core.readOnly || !isAtRest(core)) return;
  for (const stratum of core.atlas.strata()) {
    const { dirty } = stratum.pages;
    for (const map of stratum.maps) {
      for (const page of map.opened ? map.pages : []) {
        if (!page.loaded || dirty.has(page) || page.name.generation === 0) continue;
        const { at, bytes } = openMarks(core, map, page.ordinal, page.name);
        if (compareBytes(bytes.subarray(sealBytes), page.marks) !== 0)
          report('a mark page in memory differs from the disk', at * pageBytes);
        // A read in a turn here may evict the page.
        yield;
      }
    }
  }
}

/** The mark page with the name that its map, or its basin, has. */
function openMarks(
  { reader }: StoreCore,
  map: { readonly page: number; readonly grains: number },
  ordinal: number,
  { generation, crc }: { generation: number; crc: number },
): { at: number; bytes: Uint8Array; stamp: number } {
  const at = markPagePage(map, ordinal, generation);
  const bytes = reader.readPage(at);
  const { stamp } = openMarkPage(bytes, { page: at, generation, crc }, reader.salt);
  return { at, bytes, stamp };
}
