/**
 * Documents: structures of any length (the root, the basins), written whole into one of two slots.
 *
 * A document's extent is two slots of `capacityPages` each. Generation g is in slot g mod 2, so
 * writing g + 1 leaves g unchanged. Its parent names it with `DocumentName`; generation 0 means
 * that it was never written. Layout: `spec/format.md`, "Documents".
 */

import { assert } from '../util/assert.ts';
import type { ByteReader, ByteWriter } from '../util/cursor.ts';
import { pageBytes, sealBytes } from './layout.ts';
import { openSealed, type Seal, sealBytesOf } from './seal.ts';

/** The name of a document in its parent: place and generation. */
export interface DocumentName {
  /** First page of the extent with both slots. */
  readonly page: number;
  /** Pages of one slot. */
  readonly capacityPages: number;
  readonly generation: number;
  /** Bytes, including the seal. */
  readonly length: number;
  readonly crc: number;
}

export const noDocument: DocumentName = {
  page: 0,
  capacityPages: 0,
  generation: 0,
  length: 0,
  crc: 0,
};

/** First page of the slot with this generation of a structure. */
export function slotPage(page: number, slotPages: number, generation: number): number {
  return page + (generation % 2) * slotPages;
}

export function encodeDocumentName(writer: ByteWriter, name: DocumentName): void {
  writer.u48(name.page);
  writer.u32(name.capacityPages);
  writer.u32(name.generation);
  writer.u32(name.length);
  writer.u32(name.crc);
}

export function decodeDocumentName(reader: ByteReader): DocumentName {
  const name: DocumentName = {
    page: reader.u48(),
    capacityPages: reader.u32(),
    generation: reader.u32(),
    length: reader.u32(),
    crc: reader.u32(),
  };
  if (name.length > name.capacityPages * pageBytes) {
    reader.fail('a document is longer than its slot', name.capacityPages * pageBytes, name.length);
  }
  if (name.generation > 0 && name.length < sealBytes) reader.fail('a document has no seal');
  return name;
}

/** Place and seal of the next generation of a document. */
export interface DocumentPlace {
  readonly kind: number;
  readonly page: number;
  readonly capacityPages: number;
  readonly generation: number;
  readonly stamp: number;
}

/** Seals `bytes`, which begin with room for the seal, as a document; returns its name. */
export function sealDocument(
  bytes: Uint8Array,
  place: DocumentPlace,
  salt: Uint8Array,
): DocumentName {
  const { kind, page, capacityPages, generation, stamp } = place;
  assert(bytes.length <= capacityPages * pageBytes, 'a document fits into its slot');
  const at = slotPage(page, capacityPages, generation);
  const crc = sealBytesOf(bytes, { kind, generation, length: bytes.length, stamp, page: at }, salt);
  return { page, capacityPages, generation, length: bytes.length, crc };
}

/** Checks the bytes of the document that `name` names. Throws `VARVE_CORRUPT`. */
export function openDocument(
  bytes: Uint8Array,
  kind: number,
  name: DocumentName,
  salt: Uint8Array,
): Seal {
  const page = slotPage(name.page, name.capacityPages, name.generation);
  return openSealed(bytes, { kind, generation: name.generation, crc: name.crc, page }, salt);
}
