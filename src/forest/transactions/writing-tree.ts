/**
 * A tree that the body of a transaction reads and changes.
 *
 * Invariant: arguments are checked and encoded before anything is changed. A codec that throws
 * leaves the tree as it was, and the transaction may go on. Reads see the transaction's own
 * changes.
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import type { Range, WritableTree } from '../contract.ts';
import { emptyRoot, type TreeRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { limited, positionsOf, readRange } from '../reads/range.ts';
import type { Hold } from '../reads/range-iterators.ts';
import { type ReadPoint, TreeReads } from '../reads/tree-reads.ts';
import type { Edit } from '../trees/edit.ts';
import { historyBound } from '../trees/history-key.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { positionOf, TreeCursor, type TreeSource } from '../trees/tree-search.ts';
import type { OpenTree } from './open-tree.ts';

/** The transaction that the tree is a part of. */
export interface WritingScope {
  readonly edit: Edit;
  /** Throws if the transaction has ended or is broken. */
  check(): void;
  /** Runs a change; an error breaks the transaction. */
  change<T>(run: () => T): T;
  hold(): Hold;
}

/** The tree as the transaction has it now. */
class WorkingPoint implements ReadPoint {
  readonly nodes: NodeStore;
  readonly #scope: WritingScope;
  readonly #schema: TreeSchema<unknown, unknown, unknown>;
  readonly #open: OpenTree;

  constructor(scope: WritingScope, schema: TreeSchema<unknown, unknown, unknown>, open: OpenTree) {
    this.nodes = scope.edit.nodes;
    this.#scope = scope;
    this.#schema = schema;
    this.#open = open;
  }

  root(): TreeRoot {
    this.#scope.check();
    this.#open.check(this.#schema);
    return this.#open.main?.root ?? emptyRoot;
  }

  hold(): Hold {
    return this.#scope.hold();
  }

  /** Nodes are copied for it only if something is changed before its release. */
  holdBriefly(): Hold {
    return { check: () => undefined, release: this.#scope.edit.beginRead() };
  }
}

export class WritingTree<K, V, R> extends TreeReads<K, V, R> implements WritableTree<K, V, R> {
  readonly #scope: WritingScope;
  readonly #schema: TreeSchema<K, V, R>;
  readonly #open: OpenTree;

  constructor(scope: WritingScope, schema: TreeSchema<K, V, R>, open: OpenTree) {
    super(schema, new WorkingPoint(scope, schema as TreeSchema<unknown, unknown, unknown>, open));
    this.#scope = scope;
    this.#schema = schema;
    this.#open = open;
  }

  #check(): void {
    this.#scope.check();
    this.#open.check(this.#schema);
  }

  put(key: K, value: V): void {
    this.#check();
    const { keys, values } = this.#schema;
    // A value's codec may change bytes that were given as the key.
    const bytes = values.isQuiet ? keys.encode(key) : keys.encodeKept(key);
    const stored = values.encode(value);
    this.putEncoded(bytes, stored);
    keys.recycle(bytes);
    values.recycle(stored);
  }

  /** As `put`, with encoded arguments. */
  putEncoded(key: Uint8Array, value: Uint8Array): void {
    this.#check();
    this.#scope.change(() => this.#open.put(this.#schema, key, value));
  }

  delete(key: K): boolean {
    this.#check();
    const bytes = this.#schema.keys.encode(key);
    const wasThere = this.deleteEncoded(bytes);
    this.#schema.keys.recycle(bytes);
    return wasThere;
  }

  /** As `delete`, with an encoded key. */
  deleteEncoded(key: Uint8Array): boolean {
    this.#check();
    return this.#scope.change(() => this.#open.delete(this.#schema, key));
  }

  deleteRange(range: Range<K>): number {
    this.#check();
    const asked = readRange(this.#schema, range);
    // The codec of the keys may have ended the transaction.
    this.#check();
    const { nodes } = this.#scope.edit;
    const source = { nodes, shape: this.#schema.shape, root: this.#open.main?.root ?? emptyRoot };
    const { from, to } = limited(positionsOf(source, asked), asked);
    if (to === from) return 0;
    const keys = this.#schema.config.versioned ? keysAt(source, from, to) : [];
    this.#scope.change(() => this.#open.deleteAt(this.#schema, from, to, keys));
    return to - from;
  }

  trimHistory(through: number): void {
    this.#check();
    if (!Number.isSafeInteger(through) || through < 0) {
      throw invalidArgument('trimHistory', 'a sequence number', through);
    }
    const { name, config, historyShape } = this.#schema;
    if (!config.versioned) {
      throw new VarveError('VARVE_TREE_MISMATCH', `the tree '${name}' is not versioned`);
    }
    const record = this.#open.record;
    if (record === undefined) return;
    const { sequence, history } = record;
    const bound = historyBound(Math.min(through, sequence));
    const { nodes } = this.#scope.edit;
    const to = positionOf({ nodes, shape: historyShape, root: history }, bound);
    if (to > 0) this.#scope.change(() => this.#open.trim(this.#schema, to));
  }
}

/** Copies of the keys from the position `from` on and before `to`. Requires: there is one. */
function keysAt(tree: TreeSource, from: number, to: number): Uint8Array[] {
  const cursor = new TreeCursor(tree, from);
  const keys: Uint8Array[] = [];
  for (let at = from; at < to; at++) {
    if (at > from) cursor.forward();
    keys.push(cursor.leaf.entries.key(cursor.index).slice());
  }
  return keys;
}
