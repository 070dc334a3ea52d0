/**
 * Files for salvages: a store with a random life, its bytes at some moment, damage to them, and what
 * a salvage of them gives.
 *
 * Invariant: what each id has ever held is known from a plain model, which knows nothing of the
 * format.
 */

import {
  type FileSystem,
  GrainId,
  memoryFileSystem,
  type SalvageReport,
} from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { type SalvageSettings, salvageFile } from '../../../src/store/salvage/salvage.ts';
import { openStore } from '../../../src/store/store.ts';
import { checkOperation } from '../../../src/util/operations/long-operation.ts';
import { RunningOperation } from '../../../src/util/operations/running-operation.ts';
import { BackupGround, type GroundSettings, sourcePath } from '../backup/backup-ground.ts';

export const targetPath = 'target';

/** A file, and what its store held. */
export interface Specimen {
  readonly bytes: Uint8Array;
  readonly live: ReadonlyMap<GrainId, Uint8Array>;
  /** As of the batch before the last one. */
  readonly before: ReadonlyMap<GrainId, Uint8Array>;
  readonly header: GrainId | undefined;
  /** Everything that each id has ever held. */
  readonly history: ReadonlyMap<GrainId, readonly Uint8Array[]>;
  readonly settings: LifeSettings;
}

export interface LifeSettings extends GroundSettings {
  readonly commits: number;
  /** Also compactions and openings in between. */
  readonly moves?: boolean;
  /** How it ends. */
  readonly end: 'closed' | 'killed';
}

/** A store that has lived. */
export async function specimenOf(settings: LifeSettings): Promise<Specimen> {
  const ground = new BackupGround(settings);
  await ground.open();
  const { random } = ground;
  for (let at = 0; at < settings.commits; at++) {
    ground.commit();
    if (!settings.moves || !random.chance(0.1)) continue;
    if (random.chance(0.5)) await ground.store.compact();
    else {
      await ground.store.close();
      await ground.open();
    }
  }
  if (settings.end === 'closed') await ground.store.close();
  const bytes = await bytesOf(ground.disk, sourcePath);
  const known = ground.contents.filter((content) => content !== undefined);
  const { live, header } = known.at(-1) as (typeof known)[number];
  const before = known.at(-2)?.live ?? new Map();
  const history = new Map<GrainId, Uint8Array[]>();
  for (const content of ground.contents) {
    for (const [id, value] of content?.live ?? []) {
      const held = history.get(id) ?? [];
      if (!held.includes(value)) history.set(id, [...held, value]);
    }
  }
  return { bytes, live, before, header, history, settings };
}

export async function bytesOf(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  const file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: true });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  await file.close();
  return bytes;
}

/** A file system with this file. */
export async function diskWith(bytes: Uint8Array, path = sourcePath): Promise<FileSystem> {
  const fileSystem = memoryFileSystem();
  const file = await fileSystem.open(path, { create: true, exclusive: true, readOnly: false });
  file.writeSync([bytes], 0);
  await file.close();
  return fileSystem;
}

/** What a salvage gave. */
export interface Salvaged {
  readonly report: SalvageReport;
  readonly values: ReadonlyMap<GrainId, Uint8Array>;
  readonly header: GrainId | undefined;
}

function runningOperation(): RunningOperation {
  return new RunningOperation(checkOperation({}));
}

/** Salvages the bytes, and checks that the copy is sound and takes values. */
export async function salvageBytes(
  bytes: Uint8Array,
  { history, settings }: Pick<Specimen, 'history' | 'settings'>,
  limits: SalvageSettings = {},
): Promise<Salvaged> {
  const fileSystem = await diskWith(bytes);
  const files = { fileSystem, from: sourcePath, to: targetPath };
  const report = await salvageFile(files, runningOperation(), limits);
  if (Buffer.compare(await bytesOf(fileSystem, sourcePath), bytes) !== 0) {
    throw new Error('the damaged file has changed');
  }
  const options = { fileSystem, create: false };
  const request = checkOptions(targetPath, options, { ...defaultLimits, ...settings.limits });
  const store = await openStore(request);
  const values = new Map<GrainId, Uint8Array>();
  for (const id of history.keys()) {
    const value = store.get(id);
    if (value !== undefined) values.set(id, value);
  }
  for await (const { message } of store.verify({ deep: true })) throw new Error(message);
  const { values: count, archivedValues } = store.statistics();
  if (count !== report.values || archivedValues > 0) throw new Error(`${count} values`);
  const lost = new Set(report.lost.map(({ id }) => id));
  const session = store.session();
  for (let length = 0; length < 600; length += 10) {
    const id = session.push(new Uint8Array(length));
    if (values.has(id) || lost.has(id)) throw new Error(`${GrainId.format(id)} was given twice`);
  }
  await session.commit();
  const header = store.embeddedHeader;
  await store.close();
  return { report, values, header };
}

/** Throws if a value is none that its id has ever had. */
export function expectTrueBytes({ history }: Specimen, { values }: Salvaged): void {
  for (const [id, bytes] of values) {
    const isTrue = history.get(id)?.some((held) => Buffer.compare(held, bytes) === 0);
    if (!isTrue)
      throw new Error(`${GrainId.format(id)} has ${bytes.length} bytes that it never had`);
  }
}

/** Where the salvage differs from what was live. */
export function differences({ live }: Pick<Specimen, 'live'>, { values }: Salvaged) {
  const missing: GrainId[] = [];
  const other: GrainId[] = [];
  const extra = [...values.keys()].filter((id) => !live.has(id));
  for (const [id, bytes] of live) {
    const found = values.get(id);
    if (found === undefined) missing.push(id);
    else if (Buffer.compare(found, bytes) !== 0) other.push(id);
  }
  return { missing, other, extra };
}
