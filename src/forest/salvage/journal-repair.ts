/**
 * The changes that roots log, made to fit trees that have lost entries or earlier changes.
 *
 * Invariant: what is left can be replayed. Deletions of keys that are not there are left out, and
 * so are puts whose long value is missing, and changes of trees that are gone.
 */

import { ChangeLog, replayChanges } from '../journal/change-log.ts';
import type { TreeChanges } from '../journal/forest-root.ts';
import { longBit, type TreeRoot, type TreeShape } from '../nodes/node.ts';
import { longId, type NodeStore } from '../nodes/node-store.ts';
import { findEntry } from '../trees/tree-search.ts';

/** A tree that changes are replayed on. */
export interface ReplayedTree {
  readonly shape: TreeShape;
  readonly main: TreeRoot;
}

/** The changes in their order, one log for each tree; `undefined` for a tree that is gone. */
export function repairedChanges(
  nodes: NodeStore,
  changes: readonly TreeChanges[],
  treeOf: (name: string) => ReplayedTree | undefined,
): { readonly changes: TreeChanges[]; readonly dropped: number } {
  const logs = new Map<string, { readonly tree: ReplayedTree; readonly log: FittingLog }>();
  let dropped = 0;
  for (const { tree: name, log } of changes) {
    let known = logs.get(name);
    if (known === undefined) {
      const tree = treeOf(name);
      if (tree === undefined) {
        dropped += countOf(log);
        continue;
      }
      known = { tree, log: new FittingLog(nodes, tree) };
      logs.set(name, known);
    }
    known.log.add(log);
  }
  const repaired: TreeChanges[] = [];
  for (const [tree, { log }] of logs) {
    dropped += log.dropped;
    if (log.bytes.length > 0) repaired.push({ tree, log: log.bytes });
  }
  return { changes: repaired, dropped };
}

class FittingLog {
  readonly #nodes: NodeStore;
  readonly #tree: ReplayedTree;
  readonly #log = new ChangeLog(Number.POSITIVE_INFINITY);
  /** Keys that a change has put or deleted. */
  readonly #present = new Map<string, boolean>();
  dropped = 0;

  constructor(nodes: NodeStore, tree: ReplayedTree) {
    this.#nodes = nodes;
    this.#tree = tree;
  }

  get bytes(): Uint8Array {
    return this.#log.count === 0 ? new Uint8Array(0) : (this.#log.bytes as Uint8Array);
  }

  add(log: Uint8Array): void {
    replayChanges(log, {
      put: (key, value, word) => {
        const isLong = (word & longBit) !== 0;
        if (isLong && !this.#nodes.source.has(longId(value, 0))) {
          this.dropped += 1;
          return;
        }
        this.#present.set(nameOf(key), true);
        this.#log.put(key, value, word);
      },
      delete: (key) => {
        if (!this.#has(key)) {
          this.dropped += 1;
          return;
        }
        this.#present.set(nameOf(key), false);
        this.#log.delete(key);
      },
    });
  }

  #has(key: Uint8Array): boolean {
    const known = this.#present.get(nameOf(key));
    if (known !== undefined) return known;
    const { shape, main } = this.#tree;
    return findEntry(this.#nodes, shape, main.ref, key) !== undefined;
  }
}

function nameOf(key: Uint8Array): string {
  let name = '';
  for (const byte of key) name += String.fromCharCode(byte);
  return name;
}

function countOf(log: Uint8Array): number {
  let count = 0;
  const one = (): void => {
    count += 1;
  };
  replayChanges(log, { put: one, delete: one });
  return count;
}
