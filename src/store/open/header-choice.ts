/**
 * Chooses the copy of the file header to use, and decides whether the file is a store. Reads only.
 *
 * Invariant: the newest valid copy is chosen, by generation. A file with any other content than a
 * store is never taken for an empty one.
 */

import { corrupt, VarveError } from '../../errors.ts';
import {
  decodeFileHeader,
  type FileHeader,
  type HeaderCopy,
  isNotWrittenYet,
} from '../../format/file-header.ts';
import { formatVersion, headerCopies, pageBytes, sectorBytes } from '../../format/layout.ts';
import { compareBytes } from '../../util/bytes.ts';
import type { FileReader } from '../file/file-reader.ts';
import { newStoreBytes } from './creation.ts';

export interface HeaderChoice {
  /** 0 or 1. */
  readonly copy: number;
  readonly header: FileHeader;
  readonly sector: Uint8Array;
  /** The other copy, if it is valid. */
  readonly other: FileHeader | undefined;
  /** Both copies have the same content, except for what they confirm. */
  readonly agreed: boolean;
  /** Reports of damage that the chosen copy heals. */
  readonly healed: readonly string[];
}

/** The header to use; undefined for a file that is empty or whose creation was cut short. */
export function chooseHeader(reader: FileReader): HeaderChoice | undefined {
  const sectors: Uint8Array[] = [];
  for (let copy = 0; copy < headerCopies; copy++) {
    const sector = new Uint8Array(sectorBytes);
    const read = reader.fillUpTo(sector, copy * pageBytes);
    sectors.push(sector.subarray(0, read));
  }
  const copies = sectors.map((sector, copy) => decodeFileHeader(sector, copy * pageBytes));
  for (const copy of copies) if (copy.state === 'unsupported') throw unsupported(reader.path, copy);
  const headers = copies.map((copy) => (copy.state === 'valid' ? copy.header : undefined));
  const [first, second] = headers;
  if (first === undefined && second === undefined) {
    if (copies.every(({ state }) => state === 'blank') && isCutCreation(reader)) return undefined;
    throw noHeader(reader.path, copies);
  }
  const copy = second !== undefined && second.generation > (first?.generation ?? -1) ? 1 : 0;
  const header = headers[copy] as FileHeader;
  const other = headers[1 - copy];
  if (other !== undefined && compareBytes(other.salt, header.salt) !== 0) {
    throw corrupt('the two copies of the file header are of different files', { offset: 0 });
  }
  checkOrder(header, copy * pageBytes);
  return {
    copy,
    header,
    sector: sectors[copy] as Uint8Array,
    other,
    agreed: other !== undefined && sameContent(header, other),
    healed: other === undefined ? healedWords(1 - copy, copies, header) : [],
  };
}

/**
 * Checks the order checkpoint <= base <= confirmed: the batch that the last settle covers is not
 * before the checkpoint, and not after the last batch that is known to be durable.
 */
function checkOrder({ checkpoint, base, confirmed }: FileHeader, offset: number): void {
  if (checkpoint <= base && base <= confirmed) return;
  throw corrupt('the batches that the file header names are out of order', {
    offset,
    expected: 'checkpoint, base, confirmed batch',
    actual: `${checkpoint}, ${base}, ${confirmed}`,
  });
}

/** A creation that was cut short leaves only zeros. */
function isCutCreation(reader: FileReader): boolean {
  const length = reader.length();
  if (length > newStoreBytes) return false;
  const bytes = new Uint8Array(length);
  reader.fill(bytes, 0);
  return bytes.every((byte) => byte === 0);
}

/** The error for a file without a header to choose. */
export function cutCreation(path: string): VarveError {
  const message = `'${path}' is empty, or its creation was cut short`;
  return new VarveError('VARVE_NOT_FOUND', message, { path });
}

function unsupported(path: string, copy: HeaderCopy & { state: 'unsupported' }): VarveError {
  const { version, flags } = copy;
  const message =
    version === formatVersion
      ? `the store uses features that this version does not know (flags ${flags.toString(16)})`
      : `the store has format version ${version}, this version reads ${formatVersion}`;
  const facts = { path, expected: formatVersion, actual: version };
  return new VarveError('VARVE_UNSUPPORTED_VERSION', message, facts);
}

function noHeader(path: string, copies: readonly HeaderCopy[]): VarveError {
  if (copies.some(({ state }) => state === 'damaged')) {
    return corrupt('both copies of the file header are damaged', { path, offset: 0 });
  }
  return new VarveError('VARVE_NOT_A_STORE', `'${path}' is not a varve store`, { path, offset: 0 });
}

function healedWords(copy: number, copies: readonly HeaderCopy[], header: FileHeader): string[] {
  if (copies[copy]?.state === 'blank' && isNotWrittenYet(copy, header)) return [];
  return [`copy ${copy} of the file header, at byte ${copy * pageBytes}, was damaged`];
}

function sameContent(one: FileHeader, other: FileHeader): boolean {
  const contentOf = ({ generation, confirmed, salt, ...rest }: FileHeader): string =>
    JSON.stringify(rest, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
  return contentOf(one) === contentOf(other);
}
