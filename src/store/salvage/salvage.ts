/**
 * `salvage`: copies everything that can still be read from a damaged file into a new store.
 *
 * 1. Scan the file for structures and records of the log (`file-scan.ts`).
 * 2. Decide which maps there were, and which records count (`remains.ts`, `known-strata.ts`).
 * 3. For some mark pages at a time: their marks with the log applied (`page-group.ts`), a check of
 *    the values (`value-check.ts`), and the maps of the copy.
 * 4. Copy as a backup does.
 *
 * Invariant: the damaged file is only read. The copy has its name when it is complete and durable.
 */

import { existsError, invalidArgument } from '../../errors.ts';
import { type GrainId, joinGrainId, partsOfGrainId } from '../../format/grain-id.ts';
import {
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  markArchived,
  markPagesMax,
  markValue,
  pageBytes,
  saltBytes,
} from '../../format/layout.ts';
import type { FileSystem } from '../../io/file-system.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../../util/operations/long-operation.ts';
import { Operations } from '../../util/operations/operations.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { checkNames } from '../../util/options.ts';
import type { SourceState, SourceStratum } from '../backup/backup-source.ts';
import { CopyLayout } from '../backup/copy-layout.ts';
import { MarksKept } from '../backup/marks-kept.ts';
import { isSameFile, type TargetFile, writeTarget } from '../backup/target-file.ts';
import { ValueCopier } from '../backup/value-copier.ts';
import { defaultLimits } from '../grains/atlas.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import { markIn } from '../marks/packed-marks.ts';
import { MapCuts } from '../moves/map-cuts.ts';
import { openError } from '../open/opening.ts';
import { checkPath, fileSystemOf } from '../open/store-options.ts';
import { DamagedFile, type FileRange } from './damaged-file.ts';
import { scanFile } from './file-scan.ts';
import { RecordBodies } from './found-records.ts';
import type { KnownStratum } from './known-strata.ts';
import { groupsOf, PageGroup } from './page-group.ts';
import { type KnownStore, knownStore } from './remains.ts';
import { SalvagedValues } from './salvaged-values.ts';
import { type LostValue, ValueCheck } from './value-check.ts';
import type { WorkingPage } from './working-page.ts';

export interface SalvageOptions extends LongOperation {
  /** The file system of both files; it must have `rename`. Default: `nodeFileSystem`. */
  fileSystem?: FileSystem | undefined;
  /**
   * Called with the id of each value that is copied, and whether marks or log list it. If it
   * throws, the salvage rejects.
   */
  onValue?: ((id: GrainId, isListed: boolean) => void) | undefined;
}

/** The outcome of a salvage: what was copied, and what was not. */
export interface SalvageReport {
  /** Values that were copied, and their bytes. */
  readonly values: number;
  readonly bytes: number;
  /** Values that were listed but unreadable: how many, and the first 10,000. */
  readonly lostCount: number;
  readonly lost: readonly LostValue[];
  /**
   * Values that were copied although neither marks nor log were left to list them: some may have
   * been deleted.
   */
  readonly unlistedCount: number;
  /** Undefined if there was none, or if its value is lost. */
  readonly embeddedHeader: GrainId | undefined;
  /** Ranges that the disk refused to read, in bytes: at most 10,000. */
  readonly unreadable: readonly FileRange[];
}

/** `groupPagesMax`: mark pages that are worked out at a time; tests lower it. */
export interface SalvageSettings {
  readonly groupPagesMax?: number;
  readonly onValue?: SalvageOptions['onValue'];
}

const ownNames = { fileSystem: true, onValue: true } as const;

/**
 * Copies everything that can still be read from the damaged file `from` into a new store `to`, with
 * its ids, strata and embedded header where they survive. Works without either copy of the file
 * header. Never writes to `from` and does not lock it: close the store first. Values that are
 * archived, and those that the marks or the log left call free, are not copied; where neither is
 * left, every value whose checksum holds is, and `unlistedCount` counts it. `to` is `<to>.partial`
 * until it is complete and durable. Rejects with `VARVE_NOT_A_STORE` if nothing of a store is
 * found, `VARVE_EXISTS` if `to` exists, `VARVE_NOT_FOUND`, `VARVE_UNSUPPORTED_VERSION`,
 * `VARVE_LOCKED` (another salvage or a backup writes `to`), `VARVE_CORRUPT` if `from` changes
 * meanwhile, `VARVE_IO` if `to` cannot be written, `VARVE_INVALID_ARGUMENT`.
 */
export async function salvage(
  from: string | URL,
  to: string | URL,
  options: SalvageOptions = {},
): Promise<SalvageReport> {
  checkNames('salvage', options, { ...longOperationNames, ...ownNames });
  const fileSystem = fileSystemOf(options.fileSystem);
  const { onValue } = options;
  if (onValue !== undefined && typeof onValue !== 'function') {
    throw invalidArgument('onValue', 'a function', onValue);
  }
  const files = { fileSystem, from: checkPath(from), to: checkPath(to) };
  return await new Operations().run(checkOperation(options), (operation) =>
    salvageFile(files, operation, { onValue }),
  );
}

/** As `salvage`, with checked options. */
export async function salvageFile(
  files: { readonly fileSystem: FileSystem; readonly from: string; readonly to: string },
  operation: RunningOperation,
  settings: SalvageSettings = {},
): Promise<SalvageReport> {
  const { fileSystem, from, to } = files;
  if (fileSystem.rename === undefined) {
    throw invalidArgument('fileSystem', 'a file system with rename', fileSystem);
  }
  operation.report({ phase: 'scan', done: 0, total: undefined, unit: 'bytes' });
  const source = await openSource(fileSystem, from);
  try {
    const [here, there] = [
      { fileSystem, path: from },
      { fileSystem, path: to },
    ];
    if (await isSameFile(there, here)) throw existsError(to, undefined);
    return await writeTarget({ ...there, overwrite: false }, here, (target) => {
      const file = new DamagedFile(source);
      return new Salvage(file, target, operation, settings).run(from);
    });
  } finally {
    await Promise.allSettled([source.close()]);
  }
}

async function openSource(fileSystem: FileSystem, path: string) {
  try {
    return await fileSystem.open(path, { create: false, exclusive: false, readOnly: true });
  } catch (error) {
    throw openError(path, error);
  }
}

class Salvage {
  readonly #file: DamagedFile;
  readonly #target: TargetFile;
  readonly #operation: RunningOperation;
  readonly #settings: SalvageSettings;

  constructor(
    file: DamagedFile,
    target: TargetFile,
    operation: RunningOperation,
    settings: SalvageSettings,
  ) {
    this.#file = file;
    this.#target = target;
    this.#operation = operation;
    this.#settings = settings;
  }

  async run(path: string): Promise<SalvageReport> {
    const operation = this.#operation;
    const file = this.#file;
    const target = this.#target;
    const remains = await scanFile(file, path, operation);
    const known = await knownStore({ file, remains, operation });
    const bodies = new RecordBodies(file, remains.records.salt);
    const check = new ValueCheck(file, known.base, operation);
    const salt = globalThis.crypto.getRandomValues(new Uint8Array(saltBytes));
    const { state, strata } = stateOf(known);
    const layout = new CopyLayout(state, salt);
    const marks = new MarksKept(target, salt);
    let hasHeader = false;
    const header = partsOfGrainId(known.embeddedHeader);
    const place: PlaceCut = async (stratum, cut) => await marks.add(layout.place(stratum, cut));
    const cutters = new Cutters(strata, place, this.#settings.onValue);
    for (const parts of groupsOf(known.strata.all, this.#settings.groupPagesMax)) {
      const group = await PageGroup.load(file, known, remains.salt, { parts, operation });
      await group.replay(bodies, operation);
      for (const { stratum } of parts) {
        for (const page of group.pagesOf(stratum)) {
          await check.check(stratum, page);
          await cutters.add(stratum, page, operation);
          const isHome = header?.basin === stratum.basin && header.stratum === stratum.number;
          if (isHome && isLive(page, header.index)) hasHeader = true;
        }
      }
    }
    await cutters.end();
    if (!hasHeader) state.embeddedHeader = 0n;
    const values = new SalvagedValues({ file, known, bodies, fromLog: check.fromLog, operation });
    const copier = new ValueCopier({ values, target, layout, marks, operation });
    await copier.copy();
    const { writes, pages } = layout.documents(copier.valueBytes);
    for (const { chunks, offset } of writes) await target.write(chunks, offset);
    const bytes = pages * pageBytes;
    operation.report({ phase: 'sync', done: bytes, total: bytes, unit: 'bytes' });
    await target.sync(bytes);
    operation.check();
    let valueBytes = 0;
    for (const ofStratum of copier.valueBytes.values()) valueBytes += ofStratum;
    return {
      values: layout.maps.reduce((sum, map) => sum + map.values, 0),
      bytes: valueBytes,
      lostCount: check.lostCount,
      lost: check.lost,
      unlistedCount: check.unlistedCount,
      embeddedHeader: hasHeader ? (known.embeddedHeader as GrainId) : undefined,
      unreadable: file.unreadable,
    };
  }
}

function isLive({ firstIndex, grains, marks }: WorkingPage, index: number): boolean {
  const at = index - firstIndex;
  return at >= 0 && at < grains && markIn(marks, at) === markValue;
}

/** The store of the copy, and its stratum for each known one. */
function stateOf(known: KnownStore): {
  state: { -readonly [Field in keyof SourceState]: SourceState[Field] };
  strata: ReadonlyMap<KnownStratum, SourceStratum>;
} {
  const { strata: all, batch, embeddedHeader, isWhole } = known;
  const strata = new Map<KnownStratum, SourceStratum>();
  const basins: SourceStratum[][] = Array.from({ length: all.basinCount }, () => []);
  // Ids of a map that nothing is left of must not be given to other values.
  const slack = isWhole ? 0 : markPagesMax * grainsPerMarkPage;
  const unknown = { grainExp: grainExpMin, endIndex: Math.min(slack, grainIndexLimit), values: 0 };
  for (const stratum of all.all) {
    const ofBasin = basins[stratum.basin] as SourceStratum[];
    while (ofBasin.length < stratum.number) {
      ofBasin.push({ basin: stratum.basin, number: ofBasin.length, ...unknown });
    }
    const { basin, number, grainExp = grainExpMin } = stratum;
    const endIndex = Math.min(stratum.endIndex + slack, grainIndexLimit);
    const one = { basin, number, grainExp, endIndex, values: 0 };
    strata.set(stratum, one);
    ofBasin.push(one);
  }
  return { state: { batch, embeddedHeader, basins }, strata };
}

type PlaceCut = (stratum: SourceStratum, cut: Parameters<CopyLayout['place']>[1]) => Promise<void>;

/** Cuts the maps of the copy, stratum by stratum. */
class Cutters {
  readonly #strata: ReadonlyMap<KnownStratum, SourceStratum>;
  readonly #place: PlaceCut;
  readonly #onValue: SalvageSettings['onValue'];
  #stratum: KnownStratum | undefined;
  #cutter: MapCuts | undefined;
  #cuts: Parameters<CopyLayout['place']>[1][] = [];
  #map: WorkingPage['map'] | undefined;

  constructor(
    strata: ReadonlyMap<KnownStratum, SourceStratum>,
    place: PlaceCut,
    onValue: SalvageSettings['onValue'],
  ) {
    this.#strata = strata;
    this.#place = place;
    this.#onValue = onValue;
  }

  /** Requires: pages come in the order of their strata and grains, and are checked. */
  async add(stratum: KnownStratum, page: WorkingPage, operation: RunningOperation): Promise<void> {
    if (stratum !== this.#stratum) {
      await this.end();
      this.#stratum = stratum;
      const maps = stratum.maps.map(({ map }) => map);
      const toCut = { grainExp: page.map.grainExp, maps, mapsMax: defaultLimits.mapsPerStratum };
      this.#cutter = new MapCuts(toCut, (cut) => this.#cuts.push(cut));
    }
    const cutter = this.#cutter as MapCuts;
    if (page.map !== this.#map) cutter.begin(page.map);
    this.#map = page.map;
    const scan = new MarkScan(page.marks, page.grains);
    while (scan.next()) {
      // The grains of a lost value stay without a map: its id is not given again.
      if (scan.mark === markArchived) cutter.interrupt();
      else {
        const index = page.firstIndex + scan.at;
        cutter.add(index, scan.count);
        const isListed = !page.isUnlisted(scan.at, 1);
        this.#onValue?.(joinGrainId(stratum.basin, stratum.number, index), isListed);
      }
      await operation.breathe();
    }
    await this.#placeAll();
  }

  async end(): Promise<void> {
    this.#cutter?.end();
    await this.#placeAll();
    this.#cutter = undefined;
    this.#map = undefined;
  }

  async #placeAll(): Promise<void> {
    const cuts = this.#cuts;
    this.#cuts = [];
    if (this.#stratum === undefined) return;
    const stratum = this.#strata.get(this.#stratum) as SourceStratum;
    for (const cut of cuts) await this.#place(stratum, cut);
  }
}
