/**
 * The record of a tree in the catalog, as an object and as bytes, and the layout of trees.
 *
 * Invariant: a record has all that is needed to read the tree's nodes. A tree can be forked,
 * dropped and verified without its codecs. Bytes that are not a record are `VARVE_CORRUPT`. The
 * layout of records is in `spec/forest.md`.
 */

import { corrupt, VarveError } from '../../errors.ts';
import { assert } from '../../util/assert.ts';
import { ByteReader, ByteWriter } from '../../util/cursor.ts';
import type { TreeShape } from '../nodes/node.ts';
import { emptyRoot, NodeRef, type TreeRoot } from '../nodes/node.ts';
import type { NodeMemory } from '../nodes/node-memory.ts';

/** The options that a tree was made with. */
export interface TreeConfig {
  readonly keyCodec: string;
  readonly valueCodec: string;
  /** Its name; empty without one. */
  readonly reducer: string;
  readonly versioned: boolean;
  /** Length of every key; -1 if they vary. */
  readonly keyBytes: number;
  /** Length of every value; -1 if they vary or exceed `fixedBytesMax`. */
  readonly valueBytes: number;
  /** Approximate bytes of a reducer's value; -1 without one. */
  readonly partBytes: number;
}

export interface TreeRecord {
  readonly config: TreeConfig;
  readonly main: TreeRoot;
  /** The changes of a versioned tree by sequence number. */
  readonly history: TreeRoot;
  /**
   * The number of a versioned tree's newest change. A tree without versions keeps the last number
   * of a versioned tree that had its name, or 0. A number is never given twice under one name.
   */
  readonly sequence: number;
  /** The tree was dropped: only its number is left, for a later tree of this name. */
  readonly isDropped?: true;
}

/** The record of an existing tree; undefined if there is none or it was dropped. */
export function treeOf(record: TreeRecord | undefined): TreeRecord | undefined {
  return record?.isDropped === true ? undefined : record;
}

/** Limits of all trees of a forest. */
export interface ForestLimits {
  /** Target size of a node; undefined for the measured best. */
  readonly nodeBytes: number | undefined;
  readonly sealed: boolean;
  readonly memory: NodeMemory;
  /** Bytes of logged changes, at most; 0 switches logging off. */
  readonly journalBytes: number;
}

/** Values of one length up to this are stored without their length. */
export const fixedBytesMax = 256;
/** A value longer than a node's target size divided by this is stored by itself. */
const inlineShare = 4;

/**
 * Target sizes, measured. A node costs more than its bytes: with small entries of one length,
 * larger nodes load faster with random keys (npm run bench -- forest-load).
 */
const nodeBytesDefault = 4064;
const fixedNodeBytesDefault = 8160;

export function shapeOf(config: TreeConfig, limits: ForestLimits): TreeShape {
  const isFixed = config.keyBytes >= 0 && config.valueBytes >= 0;
  const { nodeBytes = isFixed ? fixedNodeBytesDefault : nodeBytesDefault, sealed } = limits;
  const inlineBytesMax = Math.max(fixedBytesMax, Math.floor(nodeBytes / inlineShare));
  const { keyBytes, valueBytes, partBytes } = config;
  const { memory } = limits;
  return { keyBytes, valueBytes, partBytes, sealed, nodeBytes, inlineBytesMax, memory };
}

/** Bytes of the sequence number and the operation, in front of a key in the history. */
export const historyHeadBytes = 9;

export function historyShapeOf(config: TreeConfig, limits: ForestLimits): TreeShape {
  const keyBytes = config.keyBytes < 0 ? -1 : config.keyBytes + historyHeadBytes;
  return { ...shapeOf(config, limits), keyBytes, valueBytes: -1, partBytes: -1 };
}

const plainConfig = { keyCodec: '', valueCodec: '', reducer: '', versioned: false, partBytes: -1 };
/** Maps names to records. */
export const catalogConfig: TreeConfig = { ...plainConfig, keyBytes: -1, valueBytes: -1 };
/** Maps GrainIds to the number of referents beyond the first. */
export const sharesConfig: TreeConfig = { ...plainConfig, keyBytes: 8, valueBytes: 8 };

/** The record that a dropped tree leaves; undefined if it never had a number. */
export function droppedRecord(sequence: number): TreeRecord | undefined {
  if (sequence === 0) return undefined;
  const nothing = { main: emptyRoot, history: emptyRoot };
  return { config: catalogConfig, ...nothing, sequence, isDropped: true };
}

const toUtf8 = new TextEncoder();
/** Short text with one byte a character. */
const isPlain = /^[ -~]{0,40}$/;
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function writeText(writer: ByteWriter, text: string): void {
  if (isPlain.test(text)) {
    writer.varint(text.length);
    for (let at = 0; at < text.length; at++) writer.u8(text.charCodeAt(at));
    return;
  }
  const bytes = toUtf8.encode(text);
  writer.varint(bytes.length);
  writer.bytes(bytes);
}

export function readText(reader: ByteReader): string {
  try {
    return fromUtf8.decode(reader.bytes(reader.varint()));
  } catch (cause) {
    throw cause instanceof VarveError ? cause : corrupt('a name is not UTF-8', { cause });
  }
}

export function writeTreeRoot(writer: ByteWriter, { ref, count, long }: TreeRoot): void {
  assert((ref === undefined) === (count === 0), 'only a tree without entries has no root');
  writer.varint(count);
  if (ref === undefined) return;
  assert(ref.stored, 'a root is stored before a reference to it');
  writer.u8(long ? 1 : 0);
  writer.u32(ref.low >>> 0);
  writer.u32(ref.high >>> 0);
  writer.varint(ref.seal);
}

export function readTreeRoot(reader: ByteReader): TreeRoot {
  const count = reader.varint();
  if (count === 0) return emptyRoot;
  const long = reader.u8() === 1;
  const low = reader.u32();
  const high = reader.u32();
  const ref = NodeRef.at(low, high, reader.varint());
  if (!ref.stored) reader.fail('the root of a tree has no id');
  ref.totalExpected = count;
  return { ref, count, long };
}

/** The kinds of records, as stored. */
const kinds = { plain: 0, versioned: 1, plainAfterVersioned: 2, dropped: 3 };

function kindOf({ config, sequence, isDropped }: TreeRecord): number {
  if (isDropped === true) return kinds.dropped;
  if (config.versioned) return kinds.versioned;
  return sequence === 0 ? kinds.plain : kinds.plainAfterVersioned;
}

export function encodeRecord(record: TreeRecord): Uint8Array {
  const { config, main, history, sequence } = record;
  const kind = kindOf(record);
  assert(config.versioned || history.count === 0, 'only a versioned tree has a history');
  assert(kind !== kinds.dropped || main.count === 0, 'a dropped tree has no entries');
  assert(kind !== kinds.dropped || sequence > 0, 'a dropped tree without a number has no record');
  const writer = new ByteWriter();
  writeText(writer, config.keyCodec);
  writeText(writer, config.valueCodec);
  writeText(writer, config.reducer);
  writer.u8(kind);
  // 0 stands for a length that varies.
  writer.varint(config.keyBytes + 1);
  writer.varint(config.valueBytes + 1);
  writer.varint(config.partBytes + 1);
  writeTreeRoot(writer, main);
  if (kind === kinds.versioned) writeTreeRoot(writer, history);
  if (kind !== kinds.plain) writer.varint(sequence);
  return writer.view();
}

export function decodeRecord(bytes: Uint8Array): TreeRecord {
  const reader = new ByteReader(bytes, "a tree's record");
  const keyCodec = readText(reader);
  const valueCodec = readText(reader);
  const reducer = readText(reader);
  const kind = reader.u8();
  const versioned = kind === kinds.versioned;
  const keyBytes = reader.varint() - 1;
  const valueBytes = reader.varint() - 1;
  const partBytes = reader.varint() - 1;
  const main = readTreeRoot(reader);
  const history = versioned ? readTreeRoot(reader) : emptyRoot;
  const sequence = kind === kinds.plain ? 0 : reader.varint();
  reader.end();
  if (kind > kinds.dropped) reader.fail(`there is no record of the kind ${kind}`);
  if (kind === kinds.dropped) {
    const dropped = droppedRecord(sequence);
    if (dropped === undefined || main.count > 0) reader.fail('a dropped tree is not empty');
    return dropped as TreeRecord;
  }
  const names = { keyCodec, valueCodec, reducer, versioned };
  return { config: { ...names, keyBytes, valueBytes, partBytes }, main, history, sequence };
}
