/**
 * The parts of a store that learn of each change of a published batch, while they follow.
 *
 * Invariant: a follower is called for each value that a batch allocates or archives, when the marks
 * have the change. Without followers a change costs one comparison. It keeps no changes itself.
 */

import type { GrainIdParts } from '../../format/grain-id.ts';

/** Called for each value; must not throw. */
export type ChangeFollower = (change: 'allocate' | 'archive', id: GrainIdParts) => void;

export class ChangeFollowers {
  readonly #followers = new Set<ChangeFollower>();

  /** Calls `follower` for each change from now on, until the returned function is called. */
  follow(follower: ChangeFollower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  changed(change: 'allocate' | 'archive', id: GrainIdParts): void {
    if (this.#followers.size === 0) return;
    for (const follower of this.#followers) follower(change, id);
  }
}
