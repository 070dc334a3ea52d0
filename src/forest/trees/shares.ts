/**
 * The tree of shares: nodes and long values with more than one referent. It maps a GrainId to the
 * number of referents beyond the first. As in Sanakirja, only shared things are counted.
 *
 * Invariant: an id that is not in it has exactly one referent. Only stored nodes and values are in
 * it, and never nodes of this tree itself or of the catalog.
 */

import type { GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import { setU32BigEndian } from '../../util/big-endian.ts';
import { getU32, setU32 } from '../../util/little-endian.ts';
import { NodeRef, type TreeRoot, type TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { type EditOwner, type Rewrite, TreeEditor } from './tree-editor.ts';
import { findEntry } from './tree-search.ts';

const countBytes = 8;
const wordOfCount = countBytes * 2;

export class Shares {
  readonly #nodes: NodeStore;
  readonly #shape: TreeShape;
  #editor: TreeEditor;
  readonly #edit: EditOwner;
  readonly #key = new Uint8Array(countBytes);
  readonly #count = new Uint8Array(countBytes);

  /** `edit` receives the replaced nodes of the shares' own tree. */
  constructor(nodes: NodeStore, shape: TreeShape, root: TreeRoot, edit: EditOwner) {
    this.#nodes = nodes;
    this.#shape = shape;
    this.#edit = edit;
    this.#editor = new TreeEditor(nodes, shape, root, edit);
  }

  get root(): TreeRoot {
    return this.#editor.root;
  }

  /** Referents beyond the first. */
  extra(id: GrainId): number {
    const { ref } = this.#editor.root;
    const found = findEntry(this.#nodes, this.#shape, ref, this.#keyOf(id));
    if (found === undefined) return 0;
    const { entries } = found.leaf;
    return getU32(entries.heap, entries.valueOffset(found.index));
  }

  #keyOf(id: GrainId): Uint8Array {
    const ref = new NodeRef();
    ref.id = id;
    setU32BigEndian(this.#key, 0, ref.high >>> 0);
    setU32BigEndian(this.#key, 4, ref.low >>> 0);
    return this.#key;
  }

  /** Stores nodes of their own tree anew. */
  rewrite(rewrite: Rewrite): void {
    const [nodes, shape, owner] = [this.#nodes, this.#shape, this.#edit];
    const tree = { nodes, shape, root: this.root, owner, summarize: () => undefined };
    this.#editor = new TreeEditor(nodes, shape, rewrite(tree), owner);
  }

  /** Adds a referent. */
  add(id: GrainId): void {
    this.#set(id, this.extra(id) + 1);
  }

  /** Removes a referent. False if it was the only one. */
  take(id: GrainId): boolean {
    const extra = this.extra(id);
    if (extra === 0) return false;
    this.#set(id, extra - 1);
    return true;
  }

  #set(id: GrainId, extra: number): void {
    assert(id !== 0n && extra >= 0, 'what is shared is stored');
    const key = this.#keyOf(id);
    if (extra === 0) this.#editor.delete(key);
    else {
      setU32(this.#count, 0, extra);
      this.#editor.put(key, this.#count, wordOfCount);
    }
  }
}
