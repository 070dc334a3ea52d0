/**
 * Notes what commits do to a forest while views are held, and what its journal does.
 *
 * Invariant: it only looks, and makes no call that a fault could strike.
 */

import type { Forest } from '../../../src/forest/index.ts';
import { decodeForestRoot, decodeSealedRoot } from '../../../src/forest/journal/forest-root.ts';
import type { Effect } from '../model/model-state.ts';
import type { Chaos } from './chaos.ts';
import type { ChangeKind, Reached, ViewKind } from './reached.ts';

/** An earlier state is written whole before the journal has many more roots. */
const rootsMany = 450;

export class CommitWatch {
  readonly #reached: Reached;
  #journalBytes = 0;
  #depth = 0;
  /** Trees of which one is a fork of the other, and which of the two have been written to since. */
  #forks: { readonly trees: readonly number[]; readonly written: Set<number> }[] = [];

  constructor(reached: Reached) {
    this.#reached = reached;
  }

  /** A write has resolved while these views were held. */
  resolved(effects: readonly Effect[], views: ReadonlySet<ViewKind>, forest: Forest): void {
    const changes = new Set<ChangeKind>(['commit']);
    for (const effect of effects) {
      const change = changeOf(effect);
      if (change !== undefined) changes.add(change);
      this.#noteFork(effect);
    }
    for (const view of views) {
      for (const change of changes) this.#reached.kind(`${view} across`, change);
    }
    const { journalBytes } = forest.statistics();
    if (journalBytes > this.#journalBytes) this.#reached.note('changes told in roots');
    else if (journalBytes < this.#journalBytes) this.#reached.note('told changes written out');
    const isLess = journalBytes > 0 && journalBytes < this.#journalBytes;
    if (isLess) this.#reached.note('earlier state written whole');
    this.#journalBytes = journalBytes;
  }

  #noteFork(effect: Effect): void {
    if (!('tree' in effect)) return;
    const { tree } = effect;
    if ('fork' in effect) this.#forks.push({ trees: [effect.fork, tree], written: new Set() });
    else if ('drop' in effect) {
      this.#forks = this.#forks.filter(({ trees }) => !trees.includes(tree));
    } else if ('put' in effect) {
      for (const { trees, written } of this.#forks) {
        if (!trees.includes(tree) || written.size === 2) continue;
        written.add(tree);
        if (written.size === 2) this.#reached.note('both sides of a fork written');
      }
    }
  }

  /** Looks at the newest root of a forest without a vault. */
  lookAtRoot({ store }: Forest, chaos: Chaos): void {
    chaos.pause(true);
    const { embeddedHeader } = store;
    const stored = embeddedHeader === undefined ? undefined : store.get(embeddedHeader);
    const sealed = stored === undefined ? undefined : decodeSealedRoot(stored);
    chaos.pause(false);
    if (sealed === undefined || sealed.vault !== '') return;
    const { depth, written } = decodeForestRoot(sealed.body);
    if (written.length > 0) this.#reached.note('share of an earlier state written');
    if (depth < rootsMany && this.#depth >= rootsMany) this.#reached.note('450 roots crossed');
    this.#depth = depth;
  }
}

function changeOf(effect: Effect): ChangeKind | undefined {
  if ('fork' in effect) return 'fork';
  if ('drop' in effect) return 'drop';
  if ('trim' in effect) return effect.trim > 0 ? 'trim' : undefined;
  return 'delete' in effect && effect.delete.length > 1 ? 'range deletion' : undefined;
}
