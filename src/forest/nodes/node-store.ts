/**
 * Nodes and long values in the store: reads them through the vault and the cache, and pushes them.
 *
 * Invariant: a node that is given out is in memory as long as its reference holds it; what is read
 * is checked, and what is not there although a tree names it is `VARVE_CORRUPT`. It does not commit
 * and archives nothing.
 */

import { contextOf, type SealedKind, type Vault } from '../../codecs/vault.ts';
import { corrupt, isVarveError, VarveError } from '../../errors.ts';
import type { GrainId, Session, Store } from '../../index.ts';
import { isBytes } from '../../util/bytes.ts';
import { getU32, getU64, setU32, setU64 } from '../../util/little-endian.ts';
import { longRefBytes, NodeRef, type TreeNode, type TreeShape } from './node.ts';
import { NodeCache } from './node-cache.ts';
import { decodeNode, NodeWriter } from './node-encoding.ts';

/** Where stored values are read: the store, or a view of it that stays at one batch. */
export type NodeSource = Pick<Store, 'get' | 'getAsync' | 'has' | 'lengthOf' | 'embeddedHeader'>;

export class NodeStore {
  readonly source: NodeSource;
  readonly cache: NodeCache;
  readonly vault: Vault | undefined;
  /** The number that the vault is told of the next value that is sealed. */
  nextSeal = 1;
  /** What a transaction has pushed and no commit has made durable; undefined for anything else. */
  pushed: (id: GrainId) => Uint8Array<ArrayBuffer> | undefined = () => undefined;
  /** Reads that are under way and states that are kept: what they reach is not to change. */
  holds = 0;
  /** Nodes read from the store since it was opened. */
  reads = 0;
  readonly #writer = new NodeWriter();

  constructor(source: NodeSource, vault: Vault | undefined, cacheBytes: number) {
    this.source = source;
    this.vault = vault;
    this.cache = new NodeCache(cacheBytes);
  }

  /** The node; from the store where it is not in memory. Throws `VARVE_CORRUPT`, `VARVE_VAULT`. */
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
    const bytes = (await this.source.getAsync(ref.id)) ?? this.pushed(ref.id);
    // Another reader may have been quicker.
    return ref.node ?? this.#take(ref, shape, bytes);
  }

  #take(ref: NodeRef, shape: TreeShape, stored: Uint8Array | undefined): TreeNode {
    this.reads += 1;
    const opened = this.open('node', ref.seal, this.#found(ref.id, stored));
    // A small result is a part of something larger, which the node would keep in memory.
    const bytes = opened.buffer.byteLength > opened.length * 2 ? opened.slice() : opened;
    const node = decodeNode(bytes, ref, shape);
    checkTold(ref, node);
    ref.node = node;
    this.cache.add(ref);
    return node;
  }

  #found(id: GrainId, bytes: Uint8Array | undefined): Uint8Array {
    if (bytes !== undefined) return bytes;
    throw corrupt('a value that a tree names is not in the store', { grainId: id });
  }

  /** The node is no longer part of the trees, nor of any state that a commit has left. */
  forget(ref: NodeRef): void {
    const { node } = ref;
    this.cache.drop(ref);
    // Whoever still reads an older state may have the node itself.
    if (this.holds > 0 || node === undefined) return;
    ref.node = undefined;
    (node.leaf ? node.entries : node.separators).forget();
  }

  /** A number for the vault that nothing else has; 0 without a vault. */
  takeSeal(): number {
    if (this.vault === undefined) return 0;
    this.nextSeal += 1;
    return this.nextSeal - 1;
  }

  /** Pushes a node that is not stored yet; its children are. */
  push(session: Session, ref: NodeRef, shape: TreeShape): void {
    const bytes = this.#writer.write(ref.node as TreeNode, shape);
    ref.seal = this.takeSeal();
    ref.id = session.push(this.seal('node', ref.seal, bytes));
  }

  /** Pushes a value by itself; gives what the leaf has in its place. */
  pushLong(session: Session, value: Uint8Array): Uint8Array {
    const number = this.takeSeal();
    const ref = new NodeRef();
    ref.id = session.push(this.seal('value', number, value));
    return encodeLong(ref.low, ref.high, number);
  }

  /** The long value that is named by these 16 bytes. */
  long(bytes: Uint8Array, at: number): Uint8Array {
    const id = longId(bytes, at);
    return this.open('value', longSeal(bytes, at), this.#found(id, this.#read(id)));
  }

  #read(id: GrainId): Uint8Array | undefined {
    return this.source.get(id) ?? this.pushed(id);
  }

  /** As `long`, without blocking. */
  async longAsync(bytes: Uint8Array, at: number): Promise<Uint8Array> {
    const id = longId(bytes, at);
    const seal = longSeal(bytes, at);
    const stored = (await this.source.getAsync(id)) ?? this.pushed(id);
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
}

/**
 * A node that is not of the level that its parent says could be its own ancestor; with another
 * number of entries positions would lead nowhere.
 */
function checkTold({ id, levelTold, totalTold }: NodeRef, node: TreeNode): void {
  const { level, total } = node;
  if ((levelTold < 0 || level === levelTold) && (totalTold < 0 || total === totalTold)) return;
  const expected = `level ${levelTold}, ${totalTold} entries`;
  const actual = `level ${level}, ${total} entries`;
  throw corrupt('a node is not what is told of it', { grainId: id, expected, actual });
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

function vaultError(vault: Vault, what: string, told: string, cause: unknown): VarveError {
  if (isVarveError(cause, 'VARVE_VAULT')) return cause;
  return new VarveError('VARVE_VAULT', `${what} of the vault '${vault.name}' ${told}`, { cause });
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
  if (!ref.stored) throw corrupt('a leaf names a long value that is stored nowhere');
  return ref.id;
}

function longSeal(bytes: Uint8Array, at: number): number {
  return getU64(bytes, at + 8);
}
