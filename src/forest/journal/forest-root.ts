/**
 * The forest's root: the value that the store's embedded header names. It has the roots of the
 * catalog and of the shares, and the changes since these were stored.
 *
 * Invariant: roots form a chain. Each logs the changes of its commit and links to the previous
 * root, unless stored nodes have that one's changes. `depth` is the number of earlier roots that
 * this one needs; their own depths may be higher than what is left of it. Bytes that are not a root
 * are `VARVE_CORRUPT`. The layout is in `spec/forest.md`.
 */

import { VarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import { ByteReader, ByteWriter } from '../../util/cursor.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { readText, readTreeRoot, writeText, writeTreeRoot } from '../trees/tree-record.ts';

/** A link to the root of an earlier commit. */
export interface RootLink {
  readonly id: GrainId;
  /** The number that it is sealed under; 0 without a vault. */
  readonly seal: number;
}

/** The logged changes of one tree (`change-log.ts`). */
export interface TreeChanges {
  readonly tree: string;
  readonly log: Uint8Array;
}

/** The stored trees that a root names. */
interface StoredPart {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
  /** Every smaller number may have been used with the vault already. */
  readonly nextSeal: number;
}

export interface ForestRoot extends StoredPart {
  /**
   * Values pushed by a transaction that was running: garbage, unless a later commit includes it.
   * Also values that nothing reaches and that later commits archive.
   */
  readonly pending: readonly GrainId[];
  /**
   * Nodes that this commit wrote of a state that is being written bit by bit: no stored node
   * reaches them yet.
   */
  readonly written: readonly GrainId[];
  /** Number of earlier roots that are needed too. */
  readonly depth: number;
  /** The newest of these; none if `depth` is 0. */
  readonly earlier: RootLink | undefined;
  /** Number of these whose `written` counts too: the newest ones. */
  readonly listed: number;
  /**
   * Changes that neither the stored trees nor an earlier root has. A root that names stored trees
   * anew repeats those that could not be replayed.
   */
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
/** Roots of earlier versions are only in files of earlier formats, which the store refuses. */
const rootVersion = 4;

export function encodeSealedRoot({ vault, seal, body }: SealedRoot): Uint8Array {
  const writer = new ByteWriter();
  writeHead(writer, vault, seal);
  writer.bytes(body);
  return writer.view();
}

/** The name of the vault is not sealed, so that an open can check it first. */
function writeHead(writer: ByteWriter, vault: string, seal: number): void {
  writer.bytes(magic);
  writer.u8(rootVersion);
  writeText(writer, vault);
  writer.varint(seal);
}

/** Undefined if the bytes are not a forest's root. Throws `VARVE_UNSUPPORTED_VERSION`. */
export function decodeSealedRoot(bytes: Uint8Array): SealedRoot | undefined {
  if (bytes.length <= magic.length) return undefined;
  for (const [at, byte] of magic.entries()) if (bytes[at] !== byte) return undefined;
  const reader = new ByteReader(bytes, "the forest's root", undefined, magic.length);
  const version = reader.u8();
  if (version !== rootVersion) {
    const message = `the forest is of version ${version}; this varve knows ${rootVersion}`;
    const facts = { expected: rootVersion, actual: version };
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', message, facts);
  }
  const vault = readText(reader);
  const seal = reader.varint();
  return { vault, seal, body: bytes.subarray(reader.at) };
}

export function encodeForestRoot(root: ForestRoot): Uint8Array {
  const writer = new ByteWriter();
  writeStored(writer, root);
  writeChanging(writer, root);
  return writer.view();
}

/** The part of a root that is the same in many: until nodes are stored, or a number is taken. */
function writeStored(writer: ByteWriter, root: StoredPart): void {
  writeTreeRoot(writer, root.catalog);
  writeTreeRoot(writer, root.shares);
  writer.varint(root.nextSeal);
}

function writeChanging(writer: ByteWriter, root: ForestRoot): void {
  assert((root.depth === 0) === (root.earlier === undefined), 'a chain ends at depth 0');
  assert(root.listed <= root.depth, 'lists of nodes are in roots that are needed');
  writer.varint(root.pending.length);
  for (const id of root.pending) writer.u64(id);
  writer.varint(root.written.length);
  for (const id of root.written) writer.u64(id);
  writer.varint(root.depth);
  if (root.earlier !== undefined) {
    writer.u64(root.earlier.id);
    writer.varint(root.earlier.seal);
    writer.varint(root.listed);
  }
  const { changes } = root;
  for (let from = 0, to = 0; from < changes.length; from = to) {
    const { tree } = changes[from] as TreeChanges;
    let bytes = 0;
    // Adjacent logs of one tree become one.
    for (; changes[to]?.tree === tree; to++) bytes += (changes[to] as TreeChanges).log.length;
    writeText(writer, tree);
    writer.varint(bytes);
    for (let at = from; at < to; at++) writer.bytes((changes[at] as TreeChanges).log);
  }
}

export function decodeForestRoot(bytes: Uint8Array): ForestRoot {
  const reader = new ByteReader(bytes, "the forest's root");
  const catalog = readTreeRoot(reader);
  const shares = readTreeRoot(reader);
  const nextSeal = reader.varint();
  const pending = readIds(reader, 'pending values');
  const written = readIds(reader, 'written nodes');
  const depth = reader.varint();
  const earlier = depth === 0 ? undefined : readLink(reader);
  const listed = depth === 0 ? 0 : reader.varint();
  if (listed > depth) reader.fail('more earlier roots list written nodes than are needed');
  const changes: TreeChanges[] = [];
  while (reader.remaining > 0) {
    changes.push({ tree: readText(reader), log: reader.bytes(reader.varint()) });
  }
  return { catalog, shares, nextSeal, pending, written, depth, earlier, listed, changes };
}

function readIds(reader: ByteReader, what: string): GrainId[] {
  const count = reader.varint();
  if (count > reader.remaining) reader.fail(`more ${what} than it has bytes`);
  return Array.from({ length: count }, () => reader.u64() as GrainId);
}

function readLink(reader: ByteReader): RootLink {
  const id = reader.u64() as GrainId;
  if (id === 0n) reader.fail('its link to an earlier root has no id');
  return { id, seal: reader.varint() };
}

/** Encodes roots in memory that it reuses. */
export class RootWriter {
  readonly #writer = new ByteWriter();
  /** The head and the stored part that the writer begins with. */
  #start: (StoredPart & { readonly bytes: number }) | undefined;

  /** The bytes to store, valid until the next call. Throws `VARVE_VAULT`. */
  encode(nodes: NodeStore, root: ForestRoot, seal: number): Uint8Array {
    const { vault } = nodes;
    if (vault !== undefined) {
      const body = nodes.seal('forest', seal, encodeForestRoot(root));
      return encodeSealedRoot({ vault: vault.name, seal, body });
    }
    assert(seal === 0, 'without a vault nothing is sealed');
    this.#writeStart(root);
    writeChanging(this.#writer, root);
    return this.#writer.view();
  }

  /** Most commits store no nodes: the writer has the start of their roots already. */
  #writeStart(root: StoredPart): void {
    const writer = this.#writer;
    const known = this.#start;
    if (known !== undefined && isSameStart(known, root)) {
      writer.restart(known.bytes);
      return;
    }
    // If the root is refused half way, the writer has no start at all.
    this.#start = undefined;
    writer.restart();
    writeHead(writer, '', 0);
    writeStored(writer, root);
    const { catalog, shares, nextSeal } = root;
    this.#start = { catalog, shares, nextSeal, bytes: writer.length };
  }
}

/**
 * Compares the trees, not their ids. A failed commit takes ids back, but each commit that pushes
 * the catalog or the shares makes a new root of the catalog.
 */
function isSameStart(one: StoredPart, other: StoredPart): boolean {
  const isSameTree = one.catalog === other.catalog && one.shares === other.shares;
  return isSameTree && one.nextSeal === other.nextSeal;
}
