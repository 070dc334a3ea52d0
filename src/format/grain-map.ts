/**
 * A grain map on disk: its head, which names its mark pages, and the marks of the grains, two bits
 * each, that say where every value begins and ends.
 *
 * The extent of a map is: two slots of the head (a page each), then for each mark page two slots,
 * then the grains. Generation g of a page lives in slot g mod 2; generation 0 was never written
 * and means that every grain is free. A value never crosses from one mark page to the next.
 * Layout: `spec/format.md`, "Grain map". Encoding, decoding and places only.
 */

import { ByteReader, ByteWriter } from '../util/cursor.ts';
import {
  grainsPerMarkPage,
  kindMap,
  kindMarks,
  markPagesMax,
  pageBytes,
  sealBytes,
} from './layout.ts';
import { openSealed, type Seal, type SealName, sealBytesOf } from './seal.ts';

/** A mark page as the head of its map knows it. */
export interface MarkPageName {
  readonly generation: number;
  readonly crc: number;
  /** Grains free, and the longest free run (up to 256), as of the page's stamp: hints. */
  readonly free: number;
  readonly longestFree: number;
}

export interface MapHead {
  readonly firstIndex: number;
  readonly grains: number;
  readonly pages: readonly MarkPageName[];
}

/** Mark pages that a map of so many grains has. */
export function markPageCount(grains: number): number {
  return Math.ceil(grains / grainsPerMarkPage);
}

/** Pages in front of the grains of a map. */
export function mapOverheadPages(grains: number): number {
  return 2 + 2 * markPageCount(grains);
}

/** Pages of the whole extent of a map. */
export function mapPages(grains: number, grainExp: number): number {
  return mapOverheadPages(grains) + Math.ceil((grains * 2 ** grainExp) / pageBytes);
}

/** The page that generation `generation` of a map's head lives in. */
export function mapHeadPage(mapPage: number, generation: number): number {
  return mapPage + (generation % 2);
}

/** The page that generation `generation` of mark page `ordinal` lives in. */
export function markPagePage(mapPage: number, ordinal: number, generation: number): number {
  return mapPage + 2 + 2 * ordinal + (generation % 2);
}

/** Where and as of when a page is to be sealed. */
export interface PagePlace {
  readonly page: number;
  readonly generation: number;
  readonly stamp: number;
}

/** A sealed page and the CRC that its parent must know. */
export interface SealedPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly crc: number;
}

export function encodeMapHead(head: MapHead, place: PagePlace, salt: Uint8Array): SealedPage {
  const writer = new ByteWriter(pageBytes);
  writer.zeros(sealBytes);
  writer.u48(head.firstIndex);
  writer.u32(head.grains);
  writer.u16(head.pages.length);
  writer.zeros(4);
  for (const page of head.pages) {
    writer.u32(page.generation);
    writer.u32(page.crc);
    writer.u16(page.free);
    writer.u16(page.longestFree);
  }
  writer.zeros(pageBytes - writer.length);
  const bytes = writer.view();
  const crc = sealBytesOf(bytes, { kind: kindMap, length: pageBytes, ...place }, salt);
  return { bytes, crc };
}

/** Checks a head's page against its name and reads it. Throws `VARVE_CORRUPT`. */
export function decodeMapHead(
  bytes: Uint8Array,
  name: Omit<SealName, 'kind'>,
  salt: Uint8Array,
): MapHead & { readonly stamp: number } {
  const seal = openSealed(bytes, { kind: kindMap, ...name }, salt);
  const offset = name.page * pageBytes;
  const reader = new ByteReader(bytes, 'the head of a grain map', offset, sealBytes);
  const firstIndex = reader.u48();
  const grains = reader.u32();
  const count = reader.u16();
  reader.zeros(4);
  if (count > markPagesMax || count !== markPageCount(grains)) {
    reader.fail('a wrong number of mark pages', markPageCount(grains), count);
  }
  const pages: MarkPageName[] = [];
  for (let at = 0; at < count; at++) {
    pages.push({
      generation: reader.u32(),
      crc: reader.u32(),
      free: reader.u16(),
      longestFree: reader.u16(),
    });
  }
  return { firstIndex, grains, pages, stamp: seal.stamp };
}

/** Seals the marks (4,064 bytes) of one mark page. */
export function encodeMarkPage(marks: Uint8Array, place: PagePlace, salt: Uint8Array): SealedPage {
  const bytes = new Uint8Array(pageBytes);
  bytes.set(marks, sealBytes);
  const crc = sealBytesOf(bytes, { kind: kindMarks, length: pageBytes, ...place }, salt);
  return { bytes, crc };
}

/** Checks a mark page against its name. The marks follow the seal. Throws `VARVE_CORRUPT`. */
export function openMarkPage(
  bytes: Uint8Array,
  name: Omit<SealName, 'kind'>,
  salt: Uint8Array,
): Seal {
  return openSealed(bytes, { kind: kindMarks, ...name }, salt);
}
