/**
 * A grain map on disk: the marks of its grains, two bits each, and a head that names its mark pages
 * if there are several. Marks say where each value begins and ends. A basin names the head, or the
 * only mark page.
 *
 * The first extent of a map has, in order: two slots of the head (a page each), two slots for each
 * mark page, grains. Further extents have the other grains. Generation g of a page is in slot g mod
 * 2; generation 0 was never written: all grains are free. A value never crosses from one mark page
 * to the next. Layout: `spec/format.md`, "Grain map". Encoding, decoding and places only.
 */

import { assert } from '../util/assert.ts';
import { compareBytes } from '../util/bytes.ts';
import { ByteReader, ByteWriter } from '../util/cursor.ts';
import {
  furtherExtentsMax,
  grainsPerMarkPage,
  kindMap,
  kindMarks,
  mapOwnerBytes,
  markPagesMax,
  marksBytes,
  marksOffset,
  pageBytes,
  sealBytes,
} from './layout.ts';
import { openSealed, type SealName, sealBytesOf } from './seal.ts';

/** The name of a mark page in the head of its map. */
export interface MarkPageName {
  readonly generation: number;
  readonly crc: number;
  /** Free grains, and the longest free run (up to 256), as of the page's stamp: hints. */
  readonly free: number;
  readonly longestFree: number;
}

/** The map that a head or mark page is of. */
export interface MapOwner {
  readonly basin: number;
  readonly stratum: number;
  readonly firstIndex: number;
  readonly grains: number;
  readonly grainExp: number;
}

/** The fields of a map of the stratum in its head and its mark pages. */
export function mapOwner(
  { basin, number: stratum }: { readonly basin: number; readonly number: number },
  { firstIndex, grains, grainExp }: Pick<MapOwner, 'firstIndex' | 'grains' | 'grainExp'>,
): MapOwner {
  return { basin, stratum, firstIndex, grains, grainExp };
}

export interface MapHead {
  readonly owner: MapOwner;
  readonly pages: readonly MarkPageName[];
}

/** One of the mark pages of a map. */
export interface MarkPageContent {
  readonly owner: MapOwner;
  readonly ordinal: number;
  /** 4,048 bytes. */
  readonly marks: Uint8Array;
}

/** Number of mark pages of a map. */
export function markPageCount(grains: number): number {
  return Math.ceil(grains / grainsPerMarkPage);
}

/** True if a map has a head: a basin names a single mark page directly. */
export function hasHead(grains: number): boolean {
  return grains > grainsPerMarkPage;
}

/** Pages before the grains of a map: head and marks. */
export function mapOverheadPages(grains: number): number {
  return (hasHead(grains) ? 2 : 0) + 2 * markPageCount(grains);
}

/** Pages of all extents of a map. */
export function mapPages(grains: number, grainExp: number): number {
  return mapOverheadPages(grains) + Math.ceil((grains * 2 ** grainExp) / pageBytes);
}

/** The page of this generation of a map's head. */
export function mapHeadPage(mapPage: number, generation: number): number {
  return mapPage + (generation % 2);
}

/** The page of this generation of mark page `ordinal`. */
export function markPagePage(
  map: { readonly page: number; readonly grains: number },
  ordinal: number,
  generation: number,
): number {
  return map.page + (hasHead(map.grains) ? 2 : 0) + 2 * ordinal + (generation % 2);
}

/** An extent of a map in the file. */
export interface MapExtent {
  readonly page: number;
  readonly pages: number;
}

/** The place of a map: its first page, and its further extents. */
export interface MapPlacement {
  readonly grains: number;
  /** First page of the map's first extent. */
  readonly page: number;
  readonly further: readonly MapExtent[];
}

/** All extents of a map, in order; the first has the pages that the others lack. */
export function mapExtents(map: MapPlacement, grainExp: number): MapExtent[] {
  let first = mapPages(map.grains, grainExp);
  for (const { pages } of map.further) first -= pages;
  return [{ page: map.page, pages: first }, ...map.further];
}

/** True if the first extent has room for a page of grains, and no other is empty. */
export function placementIsSound(map: MapPlacement, grainExp: number): boolean {
  if (map.further.length === 0) return true;
  const [first, ...further] = mapExtents(map, grainExp);
  const enough = (first?.pages ?? 0) > mapOverheadPages(map.grains);
  return enough && further.every(({ pages }) => pages > 0);
}

export function writeFurtherExtents(writer: ByteWriter, further: readonly MapExtent[]): void {
  for (const { page, pages } of further) {
    writer.u48(page);
    writer.u32(pages);
  }
}

/** Reads `count` extents. Throws `VARVE_CORRUPT` for more than a map may have. */
export function readFurtherExtents(reader: ByteReader, count: number): MapExtent[] {
  if (count > furtherExtentsMax) reader.fail('too many extents', furtherExtentsMax, count);
  return reader.list(count, () => ({ page: reader.u48(), pages: reader.u32() }));
}

/** Page, generation and stamp of a seal. */
export interface PagePlace {
  readonly page: number;
  readonly generation: number;
  readonly stamp: number;
}

/** A sealed page, and its CRC for the parent. */
export interface SealedPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly crc: number;
}

export function encodeMapHead(head: MapHead, place: PagePlace, salt: Uint8Array): SealedPage {
  assert(head.pages.length <= markPagesMax, 'a head fits into its page');
  const writer = new ByteWriter(pageBytes);
  writer.zeros(sealBytes);
  writeOwner(writer, head.owner, head.pages.length);
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

/** Checks a head's page against its name and decodes it. Throws `VARVE_CORRUPT`. */
export function decodeMapHead(
  bytes: Uint8Array,
  name: Omit<SealName, 'kind'>,
  salt: Uint8Array,
): MapHead & { readonly stamp: number } {
  const seal = openSealed(bytes, { kind: kindMap, ...name }, salt);
  const offset = name.page * pageBytes;
  const reader = new ByteReader(bytes, 'the head of a grain map', offset, sealBytes);
  const { owner, part: count } = readOwner(reader);
  if (count > markPagesMax || count !== markPageCount(owner.grains)) {
    reader.fail('a wrong number of mark pages', markPageCount(owner.grains), count);
  }
  const pages = reader.list(count, (): MarkPageName => {
    const name = { generation: reader.u32(), crc: reader.u32() };
    return { ...name, free: reader.u16(), longestFree: reader.u16() };
  });
  return { owner, pages, stamp: seal.stamp };
}

export function encodeMarkPage(
  { owner, ordinal, marks }: MarkPageContent,
  place: PagePlace,
  salt: Uint8Array,
): SealedPage {
  assert(marks.length === marksBytes, 'marks fill their page');
  const writer = new ByteWriter(pageBytes);
  writer.zeros(sealBytes);
  writeOwner(writer, owner, ordinal);
  writer.bytes(marks);
  const bytes = writer.view();
  const crc = sealBytesOf(bytes, { kind: kindMarks, length: pageBytes, ...place }, salt);
  return { bytes, crc };
}

/** Checks a mark page against its name. Throws `VARVE_CORRUPT`. */
export function openMarkPage(
  bytes: Uint8Array,
  name: Omit<SealName, 'kind'>,
  salt: Uint8Array,
): { readonly marks: Uint8Array; readonly stamp: number } {
  const { stamp } = openSealed(bytes, { kind: kindMarks, ...name }, salt);
  return { marks: bytes.subarray(marksOffset, pageBytes), stamp };
}

/** `part`: in a head the number of mark pages, in a mark page its ordinal. */
function writeOwner(writer: ByteWriter, owner: MapOwner, part: number): void {
  // A GrainId.
  writer.u48(owner.firstIndex);
  writer.u8(owner.stratum + 1);
  writer.u8(owner.basin + 1);
  writer.u32(owner.grains);
  writer.u16(part);
  writer.u8(owner.grainExp);
  writer.zeros(1);
}

function readOwner(reader: ByteReader): { owner: MapOwner; part: number } {
  const firstIndex = reader.u48();
  const stratum = reader.u8() - 1;
  const basin = reader.u8() - 1;
  const grains = reader.u32();
  const part = reader.u16();
  const grainExp = reader.u8();
  reader.zeros(1);
  return { owner: { basin, stratum, firstIndex, grains, grainExp }, part };
}

/**
 * The map that a sound head or mark page is of, with the number of mark pages or the ordinal.
 * Throws `VARVE_CORRUPT`.
 */
export function ownerOf(bytes: Uint8Array, page: number): { owner: MapOwner; part: number } {
  return readOwner(new ByteReader(bytes, 'a page of a grain map', page * pageBytes, sealBytes));
}

/** True if a sound head (`part`: mark pages) or mark page (`part`: ordinal) is of this map. */
export function isOwnedBy(bytes: Uint8Array, owner: MapOwner, part: number): boolean {
  const writer = new ByteWriter(mapOwnerBytes);
  writeOwner(writer, owner, part);
  const found = bytes.subarray(sealBytes, sealBytes + mapOwnerBytes);
  return compareBytes(found, writer.view()) === 0;
}
