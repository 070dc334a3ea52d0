/**
 * The value that the store's embedded header names: where the catalog and the shares are, and what
 * was changed since they were stored.
 *
 * Invariant: a root has the changes of its commit, or of some in a row, and names the root before
 * those as long as that one's changes are in no node either; how many there are falls by one from
 * each to the one before. Bytes that are no root are `VARVE_CORRUPT`. They are described in
 * `spec/forest.md`.
 */

import { VarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import { ByteReader, ByteWriter } from '../../util/cursor.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { readText, readTreeRoot, writeText, writeTreeRoot } from '../trees/tree-record.ts';

/** Names the root of a commit before. */
export interface RootLink {
  readonly id: GrainId;
  /** What the vault was told of it; 0 without a vault. */
  readonly seal: number;
}

/** What was done to the entries of one tree (`change-log.ts`). */
export interface TreeChanges {
  readonly tree: string;
  readonly log: Uint8Array;
}

export interface ForestRoot {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
  /** Every number below it may have been told to the vault. */
  readonly nextSeal: number;
  /** Values pushed by a transaction that was under way: nobody's, unless it ended after this. */
  readonly pending: readonly bigint[];
  /** Roots of commits before that are needed too. */
  readonly depth: number;
  /** The newest of them; none where `depth` is 0. */
  readonly earlier: RootLink | undefined;
  /** What is in no node of the catalog's trees, and in no earlier root. */
  readonly changes: readonly TreeChanges[];
}

/** A root as it stands in the store. */
export interface SealedRoot {
  readonly vault: string;
  readonly seal: number;
  readonly body: Uint8Array;
}

/** Bytes that no other program is likely to begin its root with. */
const magic = new TextEncoder().encode('varve forest\n');
const formatVersion = 3;
/** Its records are kinds 0 and 1 of the present ones; nothing else differs. */
const formatVersionOldest = 2;

/** The name of the vault stands outside of what it seals, so that it can be asked for. */
export function encodeSealedRoot(
  { vault, seal, body }: SealedRoot,
  writer = new ByteWriter(),
): Uint8Array {
  writer.bytes(magic);
  writer.u8(formatVersion);
  writeText(writer, vault);
  writer.varint(seal);
  writer.bytes(body);
  return writer.view();
}

/** Undefined for what is no forest's root. Throws `VARVE_UNSUPPORTED_VERSION`. */
export function decodeSealedRoot(bytes: Uint8Array): SealedRoot | undefined {
  if (bytes.length <= magic.length) return undefined;
  for (const [at, byte] of magic.entries()) if (bytes[at] !== byte) return undefined;
  const reader = new ByteReader(bytes, "the forest's root", undefined, magic.length);
  const version = reader.u8();
  if (version < formatVersionOldest || version > formatVersion) {
    const known = `${formatVersionOldest} to ${formatVersion}`;
    const message = `the forest is of version ${version}; this varve knows ${known}`;
    const facts = { expected: formatVersion, actual: version };
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', message, facts);
  }
  const vault = readText(reader);
  const seal = reader.varint();
  return { vault, seal, body: bytes.subarray(reader.at) };
}

export function encodeForestRoot(root: ForestRoot, writer = new ByteWriter()): Uint8Array {
  writeTreeRoot(writer, root.catalog);
  writeTreeRoot(writer, root.shares);
  writer.varint(root.nextSeal);
  writer.varint(root.pending.length);
  for (const id of root.pending) writer.u64(id);
  writer.varint(root.depth);
  if (root.earlier !== undefined) {
    writer.u64(root.earlier.id);
    writer.varint(root.earlier.seal);
  }
  const { changes } = root;
  for (let from = 0, to = 0; from < changes.length; from = to) {
    const { tree } = changes[from] as TreeChanges;
    let bytes = 0;
    // What follows of the same tree is one log with it.
    for (; changes[to]?.tree === tree; to++) bytes += (changes[to] as TreeChanges).log.length;
    writeText(writer, tree);
    writer.varint(bytes);
    for (const { log } of changes.slice(from, to)) writer.bytes(log);
  }
  return writer.view();
}

export function decodeForestRoot(bytes: Uint8Array): ForestRoot {
  const reader = new ByteReader(bytes, "the forest's root");
  const catalog = readTreeRoot(reader);
  const shares = readTreeRoot(reader);
  const nextSeal = reader.varint();
  const count = reader.varint();
  if (count > bytes.length) reader.fail('more pending values than it has bytes');
  const pending = Array.from({ length: count }, () => reader.u64());
  const depth = reader.varint();
  const earlier = depth === 0 ? undefined : readLink(reader);
  const changes: TreeChanges[] = [];
  while (reader.remaining > 0) {
    changes.push({ tree: readText(reader), log: reader.bytes(reader.varint()) });
  }
  return { catalog, shares, nextSeal, pending, depth, earlier, changes };
}

function readLink(reader: ByteReader): RootLink {
  const id = reader.u64() as GrainId;
  if (id === 0n) reader.fail('an earlier root is stored nowhere');
  return { id, seal: reader.varint() };
}

/** Encodes one root after the other in the same memory. */
export class RootWriter {
  readonly #nodes: NodeStore;
  readonly #body = new ByteWriter();
  readonly #whole = new ByteWriter();

  constructor(nodes: NodeStore) {
    this.#nodes = nodes;
  }

  /** The bytes, as they are to be stored, until the next ones. Throws `VARVE_VAULT`. */
  encode(root: ForestRoot, seal: number): Uint8Array {
    this.#body.restart();
    this.#whole.restart();
    const body = this.#nodes.seal('forest', seal, encodeForestRoot(root, this.#body));
    const vault = this.#nodes.vault?.name ?? '';
    return encodeSealedRoot({ vault, seal, body }, this.#whole);
  }
}
