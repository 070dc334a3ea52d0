/**
 * A store opened without its door, so that tests reach the parts behind it: the core, the Atlas,
 * the Committer, sessions on them, and verification of the core as it is.
 *
 * Invariant: what is done through `session` is done as `Store.session` does it. Closing is plain:
 * it settles and closes the file, or leaves both undone as a killed process does.
 */

import { type MapExtent, mapPages } from '../../src/format/grain-map.ts';
import { grainExpMin, grainsPerMarkPage } from '../../src/format/layout.ts';
import type { FileSystem, StorageFile } from '../../src/io/file-system.ts';
import { memoryFileSystem } from '../../src/io/memory-file-system.ts';
import { Committer } from '../../src/store/commit/committer.ts';
import { HeaderClaim } from '../../src/store/commit/header-claim.ts';
import { OpenSessions } from '../../src/store/commit/open-sessions.ts';
import { SessionWork } from '../../src/store/commit/session-work.ts';
import { type AtlasLimits, defaultLimits } from '../../src/store/grains/atlas.ts';
import type { GrainMap } from '../../src/store/grains/grain-map.ts';
import { openCore } from '../../src/store/open/opening.ts';
import { checkOptions, type StoreOptions } from '../../src/store/open/store-options.ts';
import { newSession, type Session } from '../../src/store/session.ts';
import type { StoreCore } from '../../src/store/state/core.ts';
import type { Finding } from '../../src/store/verify/finding.ts';
import { verifyStore } from '../../src/store/verify/verify.ts';

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

export const labPath = 'lab';

export async function openLab(options: LabOptions = {}): Promise<CoreLab> {
  const { limits, ...asked } = options;
  const fileSystem: FileSystem = options.fileSystem ?? memoryFileSystem();
  const request = checkOptions(labPath, { ...asked, fileSystem }, { ...defaultLimits, ...limits });
  const { core } = await openCore(request);
  const committer = new Committer(core);
  const open = new OpenSessions();
  const header = new HeaderClaim(core);
  return {
    core,
    file: core.reader.file,
    session: () => newSession({ core, committer, open, header }, new SessionWork(core.staging)),
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
      await core.reader.file.close();
    },
    kill: () => core.reader.file.close(),
  };
}

/** Grains of a map with two mark pages, and so with a head. */
export const headedGrains = 20_000;

/**
 * With these the first map that small values share has two mark pages, and so a head, in 544 KiB:
 * it would have eight, the fewest that a map with a head is given, if its stratum had room for them.
 */
export const headedLimits = {
  mapBytesLeast: 8 * grainsPerMarkPage * 2 ** grainExpMin,
  grainsPerStratum: 17_408,
};

/** What a test wants a map to be like. */
interface WantedMap {
  readonly grains: number;
  /** 5 where it is not given: grains of 32 bytes. */
  readonly grainExp?: number;
  /** Pages of each further extent. */
  readonly further?: readonly number[];
}

/**
 * A map in the first stratum of such grains, made where there is none; known to this process only,
 * as those that the Atlas adds. Its further extents lie before it in the file, the last of them
 * first.
 */
export function addMapTo(core: StoreCore, wanted: WantedMap): GrainMap {
  const { grains, grainExp = 5, further = [] } = wanted;
  const { atlas, space } = core;
  if (atlas.basins.length === 0) atlas.addBasin(false);
  const alike = [...atlas.strata()].find((one) => one.grainExp === grainExp);
  const stratum = alike ?? atlas.addStratum(0, grainExp, false);
  const extents: MapExtent[] = [];
  let rest = mapPages(grains, grainExp);
  for (const pages of [...further].reverse()) {
    extents.unshift({ page: space.allocate(pages), pages });
    rest -= pages;
  }
  const place = { grains, page: space.allocate(rest), further: extents };
  return stratum.addMap({ firstIndex: stratum.endIndex, ...place }, false);
}
