/**
 * A store opened without its door, so that tests reach the parts behind it: the core, the Atlas,
 * the Committer, sessions on them, and verification of the core as it is.
 *
 * Invariant: what is done through `session` is done as `Store.session` does it. Closing is plain:
 * it settles and closes the file, or leaves both undone as a killed process does.
 */

import type { FileSystem, StorageFile } from '../../src/io/file-system.ts';
import { memoryFileSystem } from '../../src/io/memory-file-system.ts';
import { type AtlasLimits, defaultLimits } from '../../src/store/atlas.ts';
import { Committer } from '../../src/store/committer.ts';
import type { StoreCore } from '../../src/store/core.ts';
import type { Finding } from '../../src/store/finding.ts';
import { OpenSessions } from '../../src/store/open-sessions.ts';
import { openCore } from '../../src/store/opening.ts';
import { newSession, type Session } from '../../src/store/session.ts';
import { SessionWork } from '../../src/store/session-work.ts';
import { checkOptions, type StoreOptions } from '../../src/store/store-options.ts';
import { verifyStore } from '../../src/store/verify.ts';

export interface CoreLab {
  readonly core: StoreCore;
  readonly file: StorageFile;
  session(): Session;
  /** Messages of what verification finds; deep where not told otherwise. */
  findings(deep?: boolean): Promise<Finding[]>;
  /** Settles and closes. */
  close(): Promise<void>;
  /** Closes the file only: the next opening recovers. */
  kill(): Promise<void>;
}

export interface LabOptions extends StoreOptions {
  readonly limits?: Partial<AtlasLimits>;
}

const labPath = 'lab';

export async function openLab(options: LabOptions = {}): Promise<CoreLab> {
  const { limits, ...asked } = options;
  const fileSystem: FileSystem = options.fileSystem ?? memoryFileSystem();
  const request = checkOptions(labPath, { ...asked, fileSystem }, { ...defaultLimits, ...limits });
  const core = await openCore(request);
  const committer = new Committer(core);
  const open = new OpenSessions();
  return {
    core,
    file: core.file,
    session: () => newSession({ core, committer, open }, new SessionWork()),
    async findings(deep = true) {
      const found: Finding[] = [];
      const quiet = (): boolean => open.size === 0 && !committer.busy;
      for await (const one of verifyStore(core, { deep, signal: undefined, quiet }))
        found.push(one);
      return found;
    },
    async close() {
      await committer.drained();
      await committer.settleAll();
      await core.file.close();
    },
    kill: () => core.file.close(),
  };
}
