/**
 * The open sessions of a forest: those that are collected are abandoned; closing the forest
 * abandons all.
 *
 * Invariant: nothing here refers to the object that a session's user holds.
 */

import type { ForestSessionWork } from './session-work.ts';

export class OpenForestSessions {
  readonly #works = new Set<ForestSessionWork>();
  readonly #collected = new FinalizationRegistry<ForestSessionWork>((work) => {
    this.#works.delete(work);
    if (work.isOpen) work.giveUp();
  });

  /** `session` is the object that the user holds. */
  add(work: ForestSessionWork, session: object): void {
    this.#works.add(work);
    this.#collected.register(session, work, work);
  }

  /** The session has ended. */
  delete(work: ForestSessionWork): void {
    this.#works.delete(work);
    this.#collected.unregister(work);
  }

  /** Abandons all, and resolves when their pushes have settled. */
  async close(): Promise<void> {
    const works = [...this.#works];
    for (const work of works) this.#collected.unregister(work);
    this.#works.clear();
    await Promise.all(works.map((work) => work.close()));
  }
}
