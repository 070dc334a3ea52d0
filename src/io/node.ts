/**
 * Files on this machine: `nodeFileSystem`, the default of `Store.open`.
 *
 * Invariant: importing this module loads no module of Node, so that the core also loads in a
 * browser: see `node-modules.ts`. The work is in `node-file-system.ts`.
 */

import type { FileSystem } from './file-system.ts';
import { isSameNodeFile, removeNodeFile, renameNodeFile } from './node-entries.ts';
import { openNodeFile } from './node-file-system.ts';
import { nodeModule } from './node-modules.ts';
import { systemError } from './system-error.ts';

/** Files on this machine. Opening one rejects with ENOTSUP where there are no modules of Node. */
export const nodeFileSystem: FileSystem = {
  async open(path, options) {
    if (nodeModule('fs') === undefined) throw systemError('ENOTSUP', 'open', path);
    return await openNodeFile(path, options);
  },
  rename: renameNodeFile,
  remove: removeNodeFile,
  isSame: isSameNodeFile,
};
