/**
 * The door to files on this machine: `nodeFileSystem`, the default of `Store.open`.
 *
 * Invariant: importing this module loads nothing of Node's, so that the core can be loaded in a
 * browser; what has `node:` imports comes in at the first `open`. The work is in
 * `node-file-system.ts`.
 */

import type { FileSystem } from './file-system.ts';

/** Files on this machine. Loads Node's modules only when it opens one. */
export const nodeFileSystem: FileSystem = {
  async open(path, options) {
    const { openNodeFile } = await import('./node-file-system.ts');
    return openNodeFile(path, options);
  },
};
