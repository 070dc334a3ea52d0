/**
 * A B-tree on the raw store: what it takes to build a structure of your own on `varve` alone.
 * (`varve/forest` has better trees. This one shows how a tree stands on the store.)
 *
 * - A node is a value of the store, and names its children by their ids. Nothing is changed in place:
 *   a change pushes new nodes from the leaf up to the root, and shares all others.
 * - The id of the root is the embedded header of the store, set in the commit that pushes the nodes.
 *   So the file holds the old tree or the new one, whatever happens.
 * - The same commit archives the nodes that it replaces. They stay readable until a checkpoint frees
 *   them, and each commit asks for one. A guard holds it back: that is how a reader keeps its tree.
 *
 * Keys are strings, sorted by their UTF-16 units. Values are what JSON can hold.
 *
 * Run it: `node examples/small-b-tree.mjs`. In a clone of the repository, run `npm run build` first.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { GrainId, Store } from 'varve';

/** @typedef {import('varve').Session} Session */
/**
 * The entries of a leaf have values. Those of a branch have the first key below a child, and the id
 * of the child as text.
 * @typedef {[key: string, value: any]} Entry
 * @typedef {{ isLeaf: boolean, entries: Entry[] }} Node
 */

// ── nodes as values ──

/** @param {Session} session @param {Node} node */
function push(session, node) {
  return session.push(new TextEncoder().encode(JSON.stringify(node)));
}

/** A node from a store, or from a session that may have pushed it. */
function load(/** @type {Store | Session} */ source, /** @type {GrainId} */ id) {
  const bytes = source.get(id);
  if (bytes === undefined) throw new Error(`there is no node ${GrainId.format(id)}`);
  return /** @type {Node} */ (JSON.parse(new TextDecoder().decode(bytes)));
}

/** A node that the session replaces. If the session has pushed it, `archive` withdraws it. */
function take(/** @type {Session} */ session, /** @type {GrainId} */ id) {
  const node = load(session, id);
  session.archive(id);
  return node;
}

/** The index of the last entry that is not above `key`; -1 if all are. */
function indexOf(/** @type {Node} */ { entries }, /** @type {string} */ key) {
  const above = entries.findIndex(([other]) => other > key);
  return (above < 0 ? entries.length : above) - 1;
}

/** The index of the child that has `key`, if any has. */
function childIndexOf(/** @type {Node} */ node, /** @type {string} */ key) {
  return Math.max(0, indexOf(node, key));
}

function childOf(/** @type {Node} */ { entries }, /** @type {number} */ at) {
  return GrainId.parse(/** @type {Entry} */ (entries[at])[1]);
}

// ── reading ──

/**
 * The value of a key in the tree under `root`.
 *
 * @param {Store | Session} source
 * @param {GrainId | null} root
 * @param {string} key
 */
function find(source, root, key) {
  if (root === null) return undefined;
  let node = load(source, root);
  while (!node.isLeaf) node = load(source, childOf(node, childIndexOf(node, key)));
  return node.entries.find(([other]) => other === key)?.[1];
}

/** The tree as of one commit: later ones free none of its nodes until `release`. */
class TreeSnapshot {
  #store;
  #root;
  #guard;
  #isReleased = false;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    this.#root = store.embeddedHeader ?? null;
    this.#guard = store.guard();
  }

  /** The store, as long as the nodes of the snapshot are in it: ids of freed values are used again. */
  get #source() {
    if (this.#isReleased) throw new Error('the snapshot is released');
    return this.#store;
  }

  /** @param {string} key */
  get(key) {
    return find(this.#source, this.#root, key);
  }

  /**
   * The entries from `gte` to before `lt`, in the order of their keys.
   *
   * @param {{ gte?: string, lt?: string }} [range]
   */
  *entries({ gte = '', lt } = {}) {
    if (this.#root === null) return;
    for (const entry of this.#from(this.#root, gte)) {
      if (lt !== undefined && entry[0] >= lt) return;
      yield entry;
    }
  }

  /**
   * @param {GrainId} id
   * @param {string} gte
   * @returns {Generator<Entry>}
   */
  *#from(id, gte) {
    const node = load(this.#source, id);
    if (node.isLeaf) yield* node.entries.filter(([key]) => key >= gte);
    else {
      for (let at = childIndexOf(node, gte); at < node.entries.length; at++) {
        yield* this.#from(childOf(node, at), gte);
      }
    }
  }

  release() {
    this.#isReleased = true;
    this.#guard.release();
  }
}

// ── writing ──

export class SmallBTree {
  #store;
  #entriesMax;

  /**
   * The tree in an open store. It takes the embedded header for itself.
   *
   * @param {Store} store
   * @param {{ entriesMax?: number }} [options] entries of a node: at least 4
   */
  constructor(store, { entriesMax = 64 } = {}) {
    this.#store = store;
    this.#entriesMax = entriesMax;
  }

  /**
   * The value of a key, as of the last durable commit. Nothing is freed while it reads: it awaits
   * nothing.
   *
   * @param {string} key
   */
  get(key) {
    return find(this.#store, this.#store.embeddedHeader ?? null, key);
  }

  /** The tree as it is now, for reads that go on while others write. Release it. */
  snapshot() {
    return new TreeSnapshot(this.#store);
  }

  /**
   * Resolves when the entry is durable. If it rejects, the tree is as before.
   *
   * @param {string} key
   * @param {any} value
   */
  async put(key, value) {
    await this.apply([[key, value]]);
  }

  /** @param {string} key */
  async delete(key) {
    await this.apply([[key, undefined]]);
  }

  /**
   * Several changes in one commit. The value undefined deletes.
   *
   * @param {Iterable<readonly [key: string, value: any]>} changes
   */
  async apply(changes) {
    // The store runs these updates one at a time: `current` is what the one before has committed.
    await this.#store.updateEmbeddedHeader((session, current) => {
      let root = current ?? null;
      for (const [key, value] of changes) root = this.#change(session, root, key, value);
      // Frees what earlier commits have archived, as far as guards allow.
      session.checkpointTo(this.#store.currentBatch);
      return root;
    });
  }

  /**
   * The root after one change.
   *
   * @param {Session} session
   * @param {GrainId | null} root
   * @param {string} key
   * @param {any} value
   */
  #change(session, root, key, value) {
    if (value === undefined && find(session, root, key) === undefined) return root;
    /** @type {Node} */
    let top = root === null ? { isLeaf: true, entries: [] } : take(session, root);
    this.#edit(session, top, key, value);
    // A root that is too large gets a root above it. One with a single child is not needed.
    while (top.entries.length > this.#entriesMax) {
      top = { isLeaf: false, entries: this.#push(session, top) };
    }
    if (!top.isLeaf && top.entries.length === 1) return childOf(top, 0);
    return top.entries.length === 0 ? null : push(session, top);
  }

  /**
   * Changes a node in memory. Nodes below it are taken and pushed; the node itself is the caller's.
   *
   * @param {Session} session
   * @param {Node} node
   * @param {string} key
   * @param {any} value
   */
  #edit(session, node, key, value) {
    const { entries } = node;
    if (node.isLeaf) {
      const at = indexOf(node, key);
      const isThere = entries[at]?.[0] === key;
      /** @type {Entry[]} */
      const next = value === undefined ? [] : [[key, value]];
      entries.splice(isThere ? at : at + 1, isThere ? 1 : 0, ...next);
      return;
    }
    let at = childIndexOf(node, key);
    const child = take(session, childOf(node, at));
    this.#edit(session, child, key, value);
    let count = 1;
    // A node that is less than half full is joined with a neighbour, and they are split again.
    if (child.entries.length < Math.floor(this.#entriesMax / 2)) {
      const neighbour = take(session, childOf(node, at === 0 ? 1 : at - 1));
      if (at === 0) child.entries.push(...neighbour.entries);
      else child.entries.unshift(...neighbour.entries);
      at = Math.max(0, at - 1);
      count = 2;
    }
    entries.splice(at, count, ...this.#push(session, child));
  }

  /**
   * Pushes a node, as two if it has too many entries: the entries of them for the branch above.
   *
   * @param {Session} session
   * @param {Node} node
   * @returns {Entry[]}
   */
  #push(session, { isLeaf, entries }) {
    const isTooLarge = entries.length > this.#entriesMax;
    const half = isTooLarge ? Math.ceil(entries.length / 2) : entries.length;
    return [entries.slice(0, half), entries.slice(half)]
      .filter((part) => part.length > 0)
      .map((part) => {
        const id = push(session, { isLeaf, entries: part });
        return [/** @type {Entry} */ (part[0])[0], GrainId.format(id)];
      });
  }
}

// ── a program that uses it ──

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'varve-b-tree-'));
  const path = join(folder, 'tree.varve');
  try {
    let store = await Store.open(path);
    let tree = new SmallBTree(store);
    const number = (/** @type {number} */ n) => `n${String(n).padStart(4, '0')}`;
    await tree.apply(Array.from({ length: 1000 }, (_, n) => [number(n), n * n]));
    console.log(`the square of 12: ${tree.get(number(12))}`);

    const before = tree.snapshot();
    await tree.put(number(12), 'replaced');
    await tree.delete(number(13));
    const range = { gte: number(12), lt: number(15) };
    console.log(`read while others write: ${JSON.stringify([...before.entries(range)])}`);
    before.release();
    await store.close();

    store = await Store.open(path);
    tree = new SmallBTree(store);
    const now = tree.snapshot();
    console.log(`after a restart: ${JSON.stringify([...now.entries(range)])}`);
    now.release();
    await store.close();
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
