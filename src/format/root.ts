/**
 * The root document: the names of the basins, and the directory of the retained commit log.
 *
 * The file header names it; it names every basin and the extents of the log. It repeats the
 * embedded header, for a file whose headers are lost. Layout: `spec/format.md`, "Root". Encoding
 * and decoding only.
 */

import { assert } from '../util/assert.ts';
import { ByteReader, ByteWriter } from '../util/cursor.ts';
import { type DocumentName, decodeDocumentName, encodeDocumentName } from './document.ts';
import { decodeSegment } from './file-header.ts';
import { basinsMax, sealBytes } from './layout.ts';

/** A segment of the commit log with retained records. */
export interface SegmentEntry {
  readonly page: number;
  readonly pages: number;
  /** Batch of the first record written to it. */
  readonly firstBatch: number;
}

/** The extent of a record's body that did not fit into its lane. */
export interface BodyEntry {
  readonly page: number;
  readonly pages: number;
  readonly batch: number;
}

export interface Root {
  /** As of the settled base; the file header has it too. 0: none. */
  readonly embeddedHeader: bigint;
  readonly basins: readonly DocumentName[];
  readonly segments: readonly SegmentEntry[];
  readonly bodies: readonly BodyEntry[];
}

/** Bytes of the document, with room for the seal at the start. */
export function encodeRoot(root: Root): Uint8Array<ArrayBuffer> {
  assert(root.basins.length <= basinsMax, 'a GrainId can name every basin');
  const writer = new ByteWriter(1024);
  writer.zeros(sealBytes);
  writer.u32(root.basins.length);
  writer.u32(root.segments.length);
  writer.u32(root.bodies.length);
  writer.u64(root.embeddedHeader);
  for (const basin of root.basins) encodeDocumentName(writer, basin);
  for (const segment of root.segments) {
    writer.u48(segment.page);
    writer.u32(segment.pages);
    writer.u48(segment.firstBatch);
  }
  for (const body of root.bodies) {
    writer.u48(body.page);
    writer.u32(body.pages);
    writer.u48(body.batch);
  }
  return writer.view();
}

export function decodeRoot(bytes: Uint8Array, offset: number): Root {
  const reader = new ByteReader(bytes, 'the root', offset, sealBytes);
  const basinCount = reader.u32();
  const segmentCount = reader.u32();
  const bodyCount = reader.u32();
  const embeddedHeader = reader.u64();
  if (basinCount > basinsMax) reader.fail('too many basins', basinsMax, basinCount);
  const basins = reader.list(basinCount, () => decodeDocumentName(reader));
  const segments = reader.list(segmentCount, () => {
    return { ...decodeSegment(reader), firstBatch: reader.u48() };
  });
  const bodies = reader.list(bodyCount, () => {
    return { page: reader.u48(), pages: reader.u32(), batch: reader.u48() };
  });
  reader.end();
  return { embeddedHeader, basins, segments, bodies };
}
