/**
 * Files on this machine: `nodeFileSystem`, the default of `Store.open`.
 *
 * Invariant: importing this module loads no module of Node, so that the core also loads in a
 * browser; `node:` imports are loaded at the first `open`. The work is in `node-file-system.ts`.
 */

import type { FileSystem } from './file-system.ts';

/** Files on this machine. Loads Node's modules only when it opens one. */
export const nodeFileSystem: FileSystem = {
  async open(path, options) {
    const { openNodeFile } = await import('./node-file-system.ts');
    return openNodeFile(path, options);
  },
};
