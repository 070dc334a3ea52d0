/**
 * The file header: one sector that says where everything starts, kept in two copies.
 *
 * It is the only structure chosen as "newest valid". Each write of a copy has a generation one
 * above the last, and goes to the copy with the lower generation. Layout: `spec/format.md`, "File
 * header". Encoding and decoding only; `store/open/header-choice.ts` chooses.
 */

import { assert } from '../util/assert.ts';
import { crc32 } from '../util/crc.ts';
import { ByteReader, ByteWriter } from '../util/cursor.ts';
import { getU32 } from '../util/little-endian.ts';
import { type DocumentName, decodeDocumentName, encodeDocumentName } from './document.ts';
import {
  formatVersion,
  headerCrcOffset,
  headerSegmentsMax,
  headerSegmentsOffset,
  knownFlags,
  lanesPerSegment,
  magic,
  saltBytes,
  sectorBytes,
} from './layout.ts';

/** A segment of the commit log: `pages` pages from `page` on. */
export interface SegmentExtent {
  readonly page: number;
  readonly pages: number;
}

/** The content of one copy of the file header. */
export interface FileHeader {
  readonly salt: Uint8Array;
  readonly generation: number;
  /** Records after `confirmed` with an older epoch do not count. */
  readonly epoch: number;
  /** The store was closed, and there is nothing after `confirmed`. */
  readonly clean: boolean;
  /** Every structure holds the batches up to this one; the log continues from here. */
  readonly base: number;
  /** This batch and all before it are known to be durable. */
  readonly confirmed: number;
  /** As of `base`, like the fields below. */
  readonly checkpoint: number;
  readonly embeddedHeader: bigint;
  readonly root: DocumentName;
  /** Bytes of the retained records. */
  readonly retainedLogBytes: number;
  /** Sectors of the file for the next record of an even, and of an odd, batch. */
  readonly laneSectors: readonly [number, number];
  /** All segments that may have records after `base`, in order of use. */
  readonly segments: readonly SegmentExtent[];
}

export function encodeFileHeader(header: FileHeader): Uint8Array<ArrayBuffer> {
  assert(header.segments.length <= headerSegmentsMax, 'the file header has room for its segments');
  assert(header.segments.length > 0, 'the commit log has a segment');
  assert(header.salt.length === saltBytes, 'a salt has its length');
  const writer = new ByteWriter(sectorBytes);
  for (const byte of magic) writer.u8(byte);
  writer.u32(formatVersion);
  writer.u32(knownFlags);
  writer.bytes(header.salt);
  writer.u48(header.generation);
  writer.u32(header.epoch);
  writer.u8(header.clean ? 1 : 0);
  writer.zeros(1);
  writer.u48(header.base);
  writer.u48(header.confirmed);
  writer.u48(header.checkpoint);
  writer.u64(header.embeddedHeader);
  encodeDocumentName(writer, header.root);
  writer.u48(header.retainedLogBytes);
  writer.u48(header.laneSectors[0]);
  writer.u48(header.laneSectors[1]);
  writer.u16(header.segments.length);
  assert(writer.length === headerSegmentsOffset, 'the segments have their place in the header');
  for (const segment of header.segments) {
    writer.u48(segment.page);
    writer.u32(segment.pages);
  }
  writer.zeros(headerCrcOffset - writer.length);
  writer.u32(crc32(writer.view()));
  const bytes = writer.view();
  assert(bytes.length === sectorBytes, 'a file header is one sector');
  return bytes;
}

/** The state of one copy: a header, or the reason why there is none. */
export type HeaderCopy =
  | { readonly state: 'valid'; readonly header: FileHeader }
  /** Only zeros. */
  | { readonly state: 'blank' }
  /** Begins with varve's magic, but fails its checksum. */
  | { readonly state: 'damaged' }
  /** A valid header with a version or feature flags that this code does not know. */
  | { readonly state: 'unsupported'; readonly version: number; readonly flags: number }
  /** Not a header of varve. */
  | { readonly state: 'foreign' };

/**
 * Decodes the sector of one copy. Magic, version, flags and CRC have the same place in all
 * versions.
 */
export function decodeFileHeader(sector: Uint8Array, offset: number): HeaderCopy {
  if (sector.every((byte) => byte === 0)) return { state: 'blank' };
  if (magic.some((byte, at) => sector[at] !== byte)) return { state: 'foreign' };
  if (sector.length < sectorBytes) return { state: 'damaged' };
  const crc = crc32(sector.subarray(0, headerCrcOffset));
  if (crc !== getU32(sector, headerCrcOffset)) return { state: 'damaged' };
  const reader = new ByteReader(sector.subarray(0, headerCrcOffset), 'the file header', offset, 8);
  const version = reader.u32();
  const flags = reader.u32();
  if (version !== formatVersion || (flags & ~knownFlags) !== 0) {
    return { state: 'unsupported', version, flags };
  }
  return { state: 'valid', header: decodeFields(reader) };
}

function decodeFields(reader: ByteReader): FileHeader {
  const salt = reader.bytes(saltBytes).slice();
  const generation = reader.u48();
  const epoch = reader.u32();
  const cleanMark = reader.u8();
  if (cleanMark > 1) reader.fail('an unknown mark', '0 or 1', cleanMark);
  const clean = cleanMark === 1;
  reader.zeros(1);
  const base = reader.u48();
  const confirmed = reader.u48();
  const checkpoint = reader.u48();
  const embeddedHeader = reader.u64();
  const root = decodeDocumentName(reader);
  const retainedLogBytes = reader.u48();
  const laneSectors = [reader.u48(), reader.u48()] as const;
  const count = reader.u16();
  if (count < 1 || count > headerSegmentsMax) reader.fail('a wrong number of segments', '', count);
  const segments = reader.list(count, () => decodeSegment(reader));
  reader.zeros(reader.remaining);
  const batches = { base, confirmed, checkpoint };
  const state = { embeddedHeader, root, retainedLogBytes, laneSectors, segments };
  return { salt, generation, epoch, clean, ...batches, ...state };
}

/** A creation that was cut before it wrote copy 1: `header` is copy 0, the first header ever. */
export function isNotWrittenYet(copy: number, header: FileHeader): boolean {
  return copy === 1 && header.generation === 1;
}

/** Place and length of a segment; its two lanes have whole pages. */
export function decodeSegment(reader: ByteReader): SegmentExtent {
  const page = reader.u48();
  const pages = reader.u32();
  if (pages === 0 || pages % lanesPerSegment !== 0) {
    reader.fail('a segment of an impossible length', 'an even number of pages', pages);
  }
  return { page, pages };
}
