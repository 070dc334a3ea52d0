/**
 * `salvageForest`: a salvage of the file, then a repair of the forest in the copy.
 *
 * Invariant: the copy has its name when the repair is durable and the store is closed. Until then
 * it is `<to>.rebuilding`, which a failure removes, and the next salvage to the same path.
 */

import type { Vault } from '../../codecs/vault.ts';
import { existsError, invalidArgument, ioError, isVarveError, systemCode } from '../../errors.ts';
import {
  type FileSystem,
  type GrainId,
  nodeFileSystem,
  type SalvageReport,
  Store,
  salvage,
} from '../../index.ts';
import { pathOfFileUrl } from '../../util/file-url.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../../util/operations/long-operation.ts';
import { Operations } from '../../util/operations/operations.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { checkNames } from '../../util/options.ts';
import { NodeCache } from '../nodes/node-cache.ts';
import { NodeMemory } from '../nodes/node-memory.ts';
import { NodeStore } from '../nodes/node-store.ts';
import { ForestContext } from '../trees/forest-context.ts';
import { TreeHandles } from '../trees/tree-handles.ts';
import { ForestRepair, type RepairReport, type TreesByName } from './forest-repair.ts';
import { rootsLeft } from './forest-roots.ts';

export interface SalvageForestOptions extends LongOperation {
  /** The file system; it must have `rename` and `remove`. Default: `nodeFileSystem`. */
  fileSystem?: FileSystem | undefined;
  /** The vault that the forest was made with. */
  vault?: Vault | undefined;
  /**
   * The options of trees by name. Only trees with a reducer need them, and only if they are
   * damaged: sums over what is left are computed anew.
   */
  trees?: TreesByName | undefined;
}

export interface SalvageForestReport extends RepairReport {
  /** The salvage of the file. Its `embeddedHeader` is the forest's earlier root. */
  readonly store: SalvageReport;
  /** Roots that are lost, with the changes that they logged. */
  readonly lostRoots: number;
}

const ownNames = { fileSystem: true, vault: true, trees: true } as const;
/** Seal numbers that are passed over: values that are lost may have been sealed under them. */
const sealsSkipped = 2 ** 32;
const mebibyte = 2 ** 20;

/**
 * Salvages the damaged file `from` (see `salvage`) and rebuilds its forest in the new file `to`:
 * every tree that the catalog still names, with its history, without the nodes and long values that
 * are lost. Leaves whose branch is lost are put back if they can belong to one place only; not with
 * a vault. Changes that are still in the journal count. Values of `Transaction.push` keep their
 * ids. The report says which keys are lost. Afterwards `Forest.verify` finds nothing. Holds 8 bytes
 * of memory a value, and more if trees are forks or a branch is lost.
 *
 * Rejects as `salvage`, with `VARVE_NOT_A_FOREST` if no root is left, `VARVE_VAULT` for another
 * vault or the wrong key, `VARVE_TREE_MISMATCH` for a damaged tree with a reducer without its
 * options in `trees`, or with others.
 */
export async function salvageForest(
  from: string | URL,
  to: string | URL,
  options: SalvageForestOptions = {},
): Promise<SalvageForestReport> {
  checkNames('salvageForest', options, { ...longOperationNames, ...ownNames });
  const { fileSystem = nodeFileSystem, vault, trees = {} } = options;
  if (fileSystem.rename === undefined || fileSystem.remove === undefined) {
    throw invalidArgument('fileSystem', 'a file system with rename and remove', fileSystem);
  }
  if (typeof trees !== 'object' || trees === null) {
    throw invalidArgument('trees', 'the options of trees by name', trees);
  }
  const path = pathOf(to);
  const checked = checkOperation(options);
  return await new Operations().run(checked, async (operation) => {
    operation.report({ phase: 'scan', done: 0, total: undefined, unit: 'bytes' });
    const files = new Files(fileSystem, path);
    await files.begin(pathOf(from));
    try {
      const { signal, bytesPerSecond } = options;
      const ids = new IdList();
      const unlisted = new IdList();
      const store = await salvage(from, files.work, {
        ...{ fileSystem, signal, bytesPerSecond },
        onProgress: (progress) => operation.report(progress),
        onValue: (id, isListed) => (isListed ? ids : unlisted).add(id),
      });
      const repaired = await repairIn(files, { ids, unlisted, vault, trees, operation });
      await files.finish();
      return { store, ...repaired };
    } catch (error) {
      await files.discard();
      throw error;
    }
  });
}

async function repairIn(
  files: Files,
  {
    ids,
    unlisted,
    vault,
    trees,
    operation,
  }: {
    ids: IdList;
    /** Some may have been deleted: no leaf of them is put back. */
    unlisted: IdList;
    vault: Vault | undefined;
    trees: TreesByName;
    operation: RunningOperation;
  },
) {
  const store = await Store.open(files.work, { fileSystem: files.fileSystem, create: false });
  try {
    const memory = new NodeMemory(mebibyte);
    const limits = { nodeBytes: undefined, sealed: vault !== undefined, memory, journalBytes: 0 };
    const nodes = new NodeStore(store, vault, new NodeCache(store.memory));
    const context = new ForestContext(store, nodes, limits, new TreeHandles());
    const roots = await rootsLeft(nodes, [ids, unlisted], operation);
    const nextSeal = Math.max(...roots.chain.map(({ root }) => root.nextSeal));
    nodes.sealFrom(nextSeal + (vault === undefined ? 0 : sealsSkipped));
    const report = await new ForestRepair(context, roots, { ids, trees, operation }).run();
    return { ...report, lostRoots: roots.lost };
  } finally {
    await store.close();
  }
}

/** The ids of all values, eight bytes each. */
class IdList implements Iterable<GrainId> {
  #ids = new BigUint64Array(1024);
  #count = 0;

  add(id: GrainId): void {
    if (this.#count === this.#ids.length) {
      const ids = new BigUint64Array(this.#ids.length * 2);
      ids.set(this.#ids);
      this.#ids = ids;
    }
    this.#ids[this.#count] = id;
    this.#count += 1;
  }

  *[Symbol.iterator](): Generator<GrainId> {
    for (let at = 0; at < this.#count; at++) yield this.#ids[at] as GrainId;
  }
}

/** The copy while it is worked on, and its final name. */
class Files {
  readonly fileSystem: FileSystem;
  readonly work: string;
  readonly #path: string;

  constructor(fileSystem: FileSystem, path: string) {
    this.fileSystem = fileSystem;
    this.work = `${path}.rebuilding`;
    this.#path = path;
  }

  /** Removes what an earlier salvage has left. Rejects with `VARVE_EXISTS`. */
  async begin(from: string): Promise<void> {
    if (await this.#exists(this.#path)) throw existsError(this.#path, undefined);
    const isSame = (await this.fileSystem.isSame?.(from, this.work)) ?? from === this.work;
    if (isSame) throw invalidArgument('to', 'a path whose unfinished file is not `from`', from);
    if (await this.#exists(this.work)) await this.fileSystem.remove?.(this.work);
  }

  async finish(): Promise<void> {
    try {
      await this.fileSystem.rename?.(this.work, this.#path, { overwrite: false });
    } catch (error) {
      if (systemCode(error) === 'EEXIST') throw existsError(this.#path, error);
      throw ioError('renaming the repaired forest', this.work, error);
    }
  }

  /** An error of that is not reported: the first one is. */
  async discard(): Promise<void> {
    await Promise.allSettled([this.fileSystem.remove?.(this.work)]);
  }

  async #exists(path: string): Promise<boolean> {
    try {
      const options = { create: false, exclusive: false, readOnly: true };
      await (await this.fileSystem.open(path, options)).close();
      return true;
    } catch (error) {
      if (!isVarveError(error) && systemCode(error) === 'ENOENT') return false;
      if (systemCode(error) === 'EISDIR') return true;
      throw ioError('opening', path, error);
    }
  }
}

function pathOf(path: unknown): string {
  const known = typeof path === 'string' ? path : pathOfFileUrl(path);
  if (known === undefined || known === '') {
    throw invalidArgument('path', 'the path of a file, or its file: URL', path);
  }
  return known;
}
