/** The processes that a test file has started, and a folder for its files: gone when it has ended. */

import { afterAll, beforeAll } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';
import { Child } from '../child.ts';

export class StartedChildren {
  /** Absolute path, from the first test on. */
  folder = '';
  readonly #children: Child[] = [];

  start(...command: ConstructorParameters<typeof Child>): Child {
    const child = new Child(...command);
    this.#children.push(child);
    return child;
  }

  async leave(): Promise<void> {
    for (const child of this.#children) await child.leave();
  }
}

/** Call this at the top of a test file. */
export function childrenOfTest(): StartedChildren {
  const started = new StartedChildren();
  beforeAll(() => {
    started.folder = makeTemporaryFolder();
  });
  afterAll(async () => {
    await started.leave();
    removeTemporaryFolder(started.folder);
  });
  return started;
}
