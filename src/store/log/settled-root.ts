/**
 * Reads the documents of the settled state: the root that a file header names, and those that the
 * root names.
 *
 * Invariant: it returns only the document that is named, by generation and checksum; anything else
 * is `VARVE_CORRUPT`. It heals nothing. Reads only.
 */

import { corrupt } from '../../errors.ts';
import { type DocumentName, openDocument, slotPage } from '../../format/document.ts';
import type { FileHeader } from '../../format/file-header.ts';
import { kindRoot, pageBytes } from '../../format/layout.ts';
import { decodeRoot, type Root } from '../../format/root.ts';
import type { FileReader } from '../file/file-reader.ts';

/** A document with the named generation and checksum. */
interface LoadedDocument {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly stamp: number;
}

/** Throws `VARVE_CORRUPT`, `VARVE_IO`. */
function readDocument(reader: FileReader, kind: number, name: DocumentName): LoadedDocument {
  const offset = slotPage(name.page, name.capacityPages, name.generation) * pageBytes;
  const bytes = reader.bytes(offset, name.length);
  const { stamp } = openDocument(bytes, kind, name, reader.salt);
  return { bytes, offset, stamp };
}

/** The root; empty if the store was never settled. */
export function readRoot(
  reader: FileReader,
  { root: name, base }: Pick<FileHeader, 'root' | 'base'>,
): { root: Root; stamp: number } {
  const isNew = name.generation === 0;
  const found = isNew ? undefined : readDocument(reader, kindRoot, name);
  const { offset, stamp } = found ?? { offset: 0, stamp: 0 };
  // Valid roots are never older: a settle chooses the base before it writes the root.
  if (stamp < base) {
    const message = 'the root is older than the file header says';
    throw corrupt(message, { offset, expected: base, actual: stamp });
  }
  if (found === undefined) {
    return { root: { embeddedHeader: 0n, basins: [], segments: [], bodies: [] }, stamp };
  }
  const root = decodeRoot(found.bytes, offset);
  if (root.bodies.some(({ pages }) => pages === 0)) {
    throw corrupt('the root names a record body that has no pages', { offset });
  }
  return { root, stamp };
}
