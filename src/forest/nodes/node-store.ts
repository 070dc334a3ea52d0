/**
 * Reads nodes and long values from the store, through the vault and the cache, and pushes them.
 *
 * Invariant: all that is read is checked; a value that a tree names and that the store lacks is
 * `VARVE_CORRUPT`. It commits and archives nothing.
 */

import {
  contextOf,
  type FrameName,
  frameContext,
  type SealedKind,
  type Vault,
} from '../../codecs/vault.ts';
import { corrupt, isVarveError, VarveError } from '../../errors.ts';
import type { GrainId, Session, Store } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import { isBytes } from '../../util/bytes.ts';
import { getU32, getU64, setU32, setU64 } from '../../util/little-endian.ts';
import { longRefBytes, NodeRef, type TreeNode, type TreeShape } from './node.ts';
import type { NodeCache } from './node-cache.ts';
import { decodeNode, NodeWriter } from './node-encoding.ts';

/** The source of stored values: the store, or a view of it at one batch. */
export type NodeSource = Pick<Store, 'get' | 'getAsync' | 'has' | 'lengthOf' | 'embeddedHeader'>;

type FindPushed = (id: GrainId) => Uint8Array<ArrayBuffer> | undefined;

export class NodeStore {
  readonly source: NodeSource;
  readonly cache: NodeCache;
  readonly vault: Vault | undefined;
  /** The number that the next value is sealed under. */
  #nextSeal = 1;
  #findPushed: FindPushed = () => undefined;
  /**
   * Number of reads in progress and of held states. While it is above 0, `forget` recycles no
   * memory.
   */
  #holds = 0;
  #isRetired = false;
  #reads = 0;
  readonly #writer = new NodeWriter();
  /** Nodes that are pushed and not durable. */
  readonly #undurable = new WeakSet<NodeRef>();

  constructor(source: NodeSource, vault: Vault | undefined, cache: NodeCache) {
    this.source = source;
    this.vault = vault;
    this.cache = cache;
  }

  /** Nodes read from the store since it was opened. */
  get reads(): number {
    return this.#reads;
  }

  /** Lets reads find values that transactions have pushed and that are not durable yet. */
  findPushedBy(find: FindPushed): void {
    this.#findPushed = find;
  }

  /** A value that a transaction has pushed and that is not durable yet; undefined for others. */
  pushed(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    return this.#findPushed(id);
  }

  /** Memory of nodes that readers may see is not recycled until the result is called, once. */
  hold(): () => void {
    this.#holds += 1;
    return () => {
      this.#holds -= 1;
      assert(this.#holds >= 0, 'a hold of nodes is released once');
      if (this.#isRetired) this.retire();
    };
  }

  /**
   * A reader has moved on to a later state: as soon as nothing holds one of these states, the cache
   * gives its memory back. Until a garbage collection it would count otherwise.
   */
  retire(): void {
    this.#isRetired = true;
    if (this.#holds === 0) this.cache.clear();
  }

  /**
   * The node, read from the store if it is not in memory. Throws `VARVE_CORRUPT`, `VARVE_VAULT`.
   */
  load(ref: NodeRef, shape: TreeShape): TreeNode {
    const { node } = ref;
    if (node !== undefined) {
      node.used = true;
      return node;
    }
    return this.#take(ref, shape, this.#read(ref.id));
  }

  /** As `load`, without blocking. */
  async loadAsync(ref: NodeRef, shape: TreeShape): Promise<TreeNode> {
    if (ref.node !== undefined) return this.load(ref, shape);
    const bytes = await this.#readAsync(ref.id);
    // Another read may have loaded it meanwhile.
    return ref.node ?? this.#take(ref, shape, bytes);
  }

  #take(ref: NodeRef, shape: TreeShape, stored: Uint8Array | undefined): TreeNode {
    this.#reads += 1;
    const opened = this.open('node', ref.seal, this.#found(ref.id, stored));
    // Copy a small view of a large buffer, which the node would keep in memory.
    const bytes = opened.buffer.byteLength > opened.length * 2 ? opened.slice() : opened;
    const node = decodeNode(bytes, ref, shape);
    checkExpected(ref, node);
    ref.node = node;
    this.cache.add(ref);
    return node;
  }

  #found(id: GrainId, bytes: Uint8Array | undefined): Uint8Array {
    if (bytes !== undefined) return bytes;
    throw corrupt('a value that a tree names is not in the store', { grainId: id });
  }

  /** Drops a node that the trees do not reach any more. */
  forget(ref: NodeRef): void {
    const { node } = ref;
    this.cache.drop(ref);
    // A reader of an older state may have the node itself: keep its memory.
    if (this.#holds > 0 || node === undefined) return;
    ref.node = undefined;
    (node.leaf ? node.entries : node.separators).forget();
  }

  get nextSeal(): number {
    return this.#nextSeal;
  }

  /** Seals values under this number and later ones. */
  sealFrom(number: number): void {
    assert(number >= this.#nextSeal, 'no seal number is used twice');
    this.#nextSeal = number;
  }

  /** A new number to seal a value under; 0 without a vault. */
  takeSeal(): number {
    if (this.vault === undefined) return 0;
    this.#nextSeal += 1;
    return this.#nextSeal - 1;
  }

  /** Pushes a node that is not stored yet. Requires: its children are stored. */
  push(session: Session, ref: NodeRef, shape: TreeShape): void {
    assert(!ref.stored, 'a node is pushed once');
    const bytes = this.#writer.write(present(ref.node, 'a node to be pushed'), shape);
    ref.seal = this.takeSeal();
    ref.id = session.push(this.seal('node', ref.seal, bytes));
    this.#undurable.add(ref);
  }

  /** The commit that pushed the node is durable, and its state is the current one. */
  becameDurable(ref: NodeRef): void {
    this.#undurable.delete(ref);
  }

  /** The node is stored by a commit whose state is, or was, the current one. */
  isDurable(ref: NodeRef): boolean {
    return ref.stored && !this.#undurable.has(ref);
  }

  /** Pushes a long value; returns the 16 bytes that its leaf has instead. */
  pushLong(session: Session, value: Uint8Array): Uint8Array {
    const number = this.takeSeal();
    const ref = new NodeRef();
    ref.id = session.push(this.seal('value', number, value));
    return encodeLong(ref.low, ref.high, number);
  }

  /** Reads the long value that the 16 bytes at `at` name. */
  long(bytes: Uint8Array, at: number): Uint8Array {
    const id = longId(bytes, at);
    return this.open('value', longSeal(bytes, at), this.#found(id, this.#read(id)));
  }

  #read(id: GrainId): Uint8Array | undefined {
    return this.source.get(id) ?? this.pushed(id);
  }

  async #readAsync(id: GrainId): Promise<Uint8Array | undefined> {
    // A value that a commit under way has pushed may have become durable during the wait.
    return (await this.source.getAsync(id)) ?? this.#read(id);
  }

  /** As `long`, without blocking. */
  async longAsync(bytes: Uint8Array, at: number): Promise<Uint8Array> {
    const id = longId(bytes, at);
    const seal = longSeal(bytes, at);
    const stored = await this.#readAsync(id);
    return this.open('value', seal, this.#found(id, stored));
  }

  seal(kind: SealedKind, number: number, plain: Uint8Array): Uint8Array {
    if (this.vault === undefined) return plain;
    return vaulted(this.vault, 'seal', (vault) => vault.seal(plain, contextOf(kind, number)));
  }

  open(kind: SealedKind, number: number, sealed: Uint8Array): Uint8Array {
    if (this.vault === undefined) return sealed;
    return vaulted(this.vault, 'open', (vault) => vault.open(sealed, contextOf(kind, number)));
  }

  sealFrame(frame: FrameName, plain: Uint8Array): Uint8Array {
    if (this.vault === undefined) return plain;
    return vaulted(this.vault, 'seal', (vault) => vault.seal(plain, frameContext(frame)));
  }

  openFrame(frame: FrameName, sealed: Uint8Array): Uint8Array {
    if (this.vault === undefined) return sealed;
    return vaulted(this.vault, 'open', (vault) => vault.open(sealed, frameContext(frame)));
  }
}

/**
 * Checks a node against its parent: a wrong level could form a cycle, and a wrong count breaks
 * positions.
 */
function checkExpected({ id, levelExpected, totalExpected }: NodeRef, node: TreeNode): void {
  const { level, total } = node;
  const isLevel = levelExpected < 0 || level === levelExpected;
  if (isLevel && (totalExpected < 0 || total === totalExpected)) return;
  const message = 'a node has another level or number of entries than its parent says';
  const expected = `level ${levelExpected}, ${totalExpected} entries`;
  throw corrupt(message, { grainId: id, expected, actual: `level ${level}, ${total} entries` });
}

function vaulted(vault: Vault, what: string, run: (vault: Vault) => Uint8Array): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = run(vault);
  } catch (cause) {
    throw vaultError(vault, what, 'failed', cause);
  }
  if (!isBytes(bytes)) throw vaultError(vault, what, 'gave no bytes', undefined);
  return bytes;
}

function vaultError(vault: Vault, what: string, outcome: string, cause: unknown): VarveError {
  if (isVarveError(cause, 'VARVE_VAULT')) return cause;
  const message = `${what} of the vault '${vault.name}' ${outcome}`;
  return new VarveError('VARVE_VAULT', message, { cause });
}

function encodeLong(low: number, high: number, seal: number): Uint8Array {
  const bytes = new Uint8Array(longRefBytes);
  setU32(bytes, 0, low);
  setU32(bytes, 4, high);
  setU64(bytes, 8, seal);
  return bytes;
}

/** The GrainId in the 16 bytes that a leaf has for a long value. Throws `VARVE_CORRUPT`. */
export function longId(bytes: Uint8Array, at: number): GrainId {
  const ref = NodeRef.at(getU32(bytes, at), getU32(bytes, at + 4), 0);
  if (!ref.stored) throw corrupt('a leaf has a reference to a long value without an id');
  return ref.id;
}

function longSeal(bytes: Uint8Array, at: number): number {
  return getU64(bytes, at + 8);
}
