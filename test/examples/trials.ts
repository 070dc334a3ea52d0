/**
 * The examples' classes beside plain models of them: with restarts, with the power cut at every
 * operation of the disk, and with each operation of the disk failing once.
 *
 * Invariant: changes are plain data, given in groups. Those of a group begin together, and take
 * effect in their order. A change is a function of the state alone, so what was refused may be left
 * out. After a group the example has to be as its model, and each change has to have its result.
 */

import { expect } from 'vitest';
import { isVarveError } from '../../src/errors.ts';
import type { FileSystem } from '../../src/index.ts';
import { memoryFileSystem } from '../../src/index.ts';
import type { Fault } from '../support/disks/disk-faults.ts';
import type { FateBounds } from '../support/disks/fates.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { cutEverywhere } from '../support/lives/cuts.ts';

export interface Opened<Change> {
  /** Makes a change; its result. An error of the disk rejects, any other is a result. */
  run(change: Change): Promise<unknown>;
  state(): unknown;
  /** Throws if something is unsound, or takes space that nothing names. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface Model<Change> {
  /** Makes the change; its result. */
  apply(change: Change): unknown;
  state(): unknown;
}

export interface Trial<Change> {
  open(fileSystem: FileSystem): Promise<Opened<Change>>;
  model(): Model<Change>;
}

type Groups<Change> = readonly (readonly Change[])[];

/** Everything goes well; closed and opened again after each group where `restarts` says so. */
export async function compareWithModel<Change>(
  trial: Trial<Change>,
  groups: Groups<Change>,
  restarts: (group: number) => boolean = () => false,
): Promise<void> {
  const fileSystem = memoryFileSystem();
  const model = trial.model();
  let opened = await trial.open(fileSystem);
  for (const [number, group] of groups.entries()) {
    const results = await Promise.all(group.map((change) => opened.run(change)));
    expect(results).toEqual(group.map((change) => model.apply(change)));
    expect(opened.state()).toEqual(model.state());
    if (!restarts(number)) continue;
    await opened.close();
    opened = await trial.open(fileSystem);
    expect(opened.state()).toEqual(model.state());
  }
  await opened.check();
  await opened.close();
}

interface Done {
  /** Operations of the disk that had begun when the change began, and when it was acknowledged. */
  readonly begun: number;
  readonly acknowledged: number;
}

/** Cuts the power at every operation, and goes on with the changes that are lost; how many cuts. */
export async function cutPower<Change>(
  trial: Trial<Change>,
  groups: Groups<Change>,
  { bounds, stride }: { readonly bounds: FateBounds; readonly stride: number },
): Promise<number> {
  const disk = new SimulatedDisk();
  const changes = groups.flat();
  const states = statesOf(trial, changes);
  const done: Done[] = [];
  const opened = await trial.open(disk);
  for (const group of groups) {
    const runs = group.map(async (change) => {
      const begun = disk.operations.length;
      await opened.run(change);
      return { begun, acknowledged: disk.operations.length };
    });
    done.push(...(await Promise.all(runs)));
  }
  await opened.close();
  return await cutEverywhere(
    { disk },
    { bounds, stride, name: 'an example' },
    async (state, at) => {
      const least = done.filter(({ acknowledged }) => acknowledged <= at).length;
      const most = done.filter(({ begun }) => begun <= at).length;
      const next = await trial.open(new SimulatedDisk({ state, records: false }));
      const found = indexIn(states, next.state(), least, most);
      for (const change of changes.slice(found)) await next.run(change);
      expect(next.state()).toEqual(states.at(-1));
      await next.check();
      await next.close();
    },
  );
}

/** Lets each operation of the disk fail once, in a life of its own; how many did. */
export async function failCalls<Change>(
  trial: Trial<Change>,
  groups: Groups<Change>,
  fault: Fault,
): Promise<number> {
  for (let number = 0; ; number++) {
    let failed = false;
    const disk = new SimulatedDisk({ records: false });
    const opened = await trial.open(disk);
    const first = disk.operations.length;
    disk.faultOf = (operation) => {
      if (operation.number !== first + number) return undefined;
      failed = true;
      return fault.kind === 'sync' && operation.kind !== 'datasync' ? undefined : fault;
    };
    await liveThrough(trial, groups, { disk, opened });
    if (!failed) return number;
  }
}

/** A life in which at most one operation fails. */
async function liveThrough<Change>(
  trial: Trial<Change>,
  groups: Groups<Change>,
  { disk, opened }: { readonly disk: SimulatedDisk; readonly opened: Opened<Change> },
): Promise<void> {
  const model = trial.model();
  const before: Change[] = [];
  for (const group of groups) {
    const outcomes = await Promise.allSettled(group.map((change) => opened.run(change)));
    const refused = outcomes.find((outcome) => outcome.status === 'rejected');
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') continue;
      before.push(group[at] as Change);
      expect(outcome.value).toEqual(model.apply(group[at] as Change));
    }
    // The store may be poisoned: then it is opened again, and the changes of the group are there or not.
    if (refused !== undefined && isVarveError(refused.reason, 'VARVE_POISONED')) {
      await opened.close().catch(() => undefined);
      const next = await trial.open(new SimulatedDisk({ state: disk.state, records: false }));
      const all = [...before, ...group.filter((_, at) => outcomes[at]?.status === 'rejected')];
      indexIn(statesOf(trial, all), next.state(), before.length, all.length);
      await next.check();
      await next.close();
      return;
    }
    if (refused !== undefined) expect(isVarveError(refused.reason, 'VARVE_IO')).toBe(true);
    expect(opened.state()).toEqual(model.state());
  }
  // Closing may be what fails.
  await opened.close().catch(() => undefined);
  const next = await trial.open(new SimulatedDisk({ state: disk.state, records: false }));
  expect(next.state()).toEqual(model.state());
  await next.check();
  await next.close();
}

/** The states of the model: before the first change, and after each. */
function statesOf<Change>(trial: Trial<Change>, changes: readonly Change[]): unknown[] {
  const model = trial.model();
  return [
    structuredClone(model.state()),
    ...changes.map((change) => {
      model.apply(change);
      return structuredClone(model.state());
    }),
  ];
}

/** The index, from `least` to `most`, of the state that was found. */
function indexIn(states: readonly unknown[], found: unknown, least: number, most: number): number {
  const text = JSON.stringify(found);
  for (let at = least; at <= most; at++) if (JSON.stringify(states[at]) === text) return at;
  expect(found).toEqual(states[least]);
  throw new Error(`the state is none of those from ${least} to ${most}`);
}
